"""Bedside clinical embeddings for LlamaIndex."""
