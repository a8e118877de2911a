"""Text encoders tuned for retrieval, from pairs of question and passage or from the texts alone."""
