"""The truth on disk: a sealed JSON Lines log, the manifest that names it, and the lock that orders writers."""
