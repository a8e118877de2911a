"""``bedside.clusters``: where release 0.1 had what is now in :mod:`bedside.analysis.clusters`."""

from bedside.analysis.clusters import (
    Cluster,
    Clustering,
    Method,
    cluster_documents,
    cluster_vectors,
    cluster_words,
    documents_of,
)

__all__ = ["Cluster", "Clustering", "Method", "cluster_documents", "cluster_vectors", "cluster_words", "documents_of"]
