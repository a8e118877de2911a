"""Where a collection lives: the protocols that an engine answers, and the engines."""
