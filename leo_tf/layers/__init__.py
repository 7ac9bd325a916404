"""Keras layers of LEO, for both problems: stochastic encoder with relation network, stochastic decoder."""

from leo_tf.layers import distributions
from leo_tf.layers.decoder import StochasticDecoder
from leo_tf.layers.encoder import StochasticEncoder
from leo_tf.layers.perceptron import Perceptron
from leo_tf.layers.relation import RelationNetwork

__all__ = ["Perceptron", "RelationNetwork", "StochasticDecoder", "StochasticEncoder", "distributions"]
