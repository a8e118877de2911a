"""Bedside embeddings, vector store and retriever for LangChain."""
