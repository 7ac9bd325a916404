"""Embedding tables and the episodes sampled from them."""

from leo_tf.data.episodes import Episode, EpisodeSampler, most_ways
from leo_tf.data.table import EmbeddingTable

__all__ = ["EmbeddingTable", "Episode", "EpisodeSampler", "most_ways"]
