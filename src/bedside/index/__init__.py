"""Indexes in memory: dense vectors, BM25 postings, metadata postings."""
