"""Embeddings of a folder of images: `python -m leo_tf.features.extract`.

extraction   one split, alone or with many workers
parts        what of it is embedded so far, which a continued extraction keeps
output       the files that training reads, and the card beside them
"""
