"""Small things that every part may use and that know nothing of collections."""
