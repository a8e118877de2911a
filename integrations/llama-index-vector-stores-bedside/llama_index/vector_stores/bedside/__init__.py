"""Bedside vector store for LlamaIndex: exact dense, BM25 and hybrid search with patient scopes."""
