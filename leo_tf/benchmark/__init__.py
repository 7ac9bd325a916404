"""How fast LEO runs here, against a plain formulation timed in turns: `python -m leo_tf.benchmark`."""
