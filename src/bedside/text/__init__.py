"""Clinical text: folding, tokens, and what is built on them."""
