"""The truth on disk: the log, its lines, its manifest, and the cache of what is derived from it."""
