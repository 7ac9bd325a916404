"""Embeddings from images: backbones, their pre-training, and extraction."""
