"""What is derived from the log: rows, vectors, postings and columns."""
