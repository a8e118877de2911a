"""One search, from its options to ranked rows: the list of options, the stages, and ranking as pure functions."""
