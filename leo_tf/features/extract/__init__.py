"""Embeddings of a folder of images: `python -m leo_tf.features.extract`.

extraction   one split, in parts that a continued extraction keeps
output       the files that training reads, and the card beside them
"""
