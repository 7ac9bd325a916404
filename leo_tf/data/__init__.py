"""Embeddings and, made from them, episodes."""

from leo_tf.data.episodes import Episode, EpisodeSampler
from leo_tf.data.table import EmbeddingTable

__all__ = ["EmbeddingTable", "Episode", "EpisodeSampler"]
