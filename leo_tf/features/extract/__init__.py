"""Embeddings of a folder of images: `python -m leo_tf.features.extract`.

extraction  one split, by one worker or many
parts       the finished part of a split, with which an extraction resumes
output      the files that training reads, and the extractor metadata
"""
