"""Ways in and out: what other stores wrote, and what other programs read."""
