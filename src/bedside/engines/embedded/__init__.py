"""The embedded engine: JSON Lines on disk (or in memory) as the truth, and an index derived from them."""
