"""Embeddings of a folder of images: `python -m leo_tf.features.extract`."""
