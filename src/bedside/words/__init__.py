"""Word vectors: GloVe, word2vec, fastText, wink and model2vec files, their neighbours, and texts made of them.

Example:
    >>> vectors = WordVectors(["fever", "pyrexia", "ankle"], [[1.0, 0.1], [0.9, 0.2], [0.0, 1.0]])
    >>> vectors.nearest("fever", 1)[0].word
    'pyrexia'
"""

from bedside.words.nearest import Metric
from bedside.words.pooling import WordPooling
from bedside.words.table import Neighbour, Similarity
from bedside.words.vectors import WordVectors

__all__ = ["Metric", "Neighbour", "Similarity", "WordPooling", "WordVectors"]
