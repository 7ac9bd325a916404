"""Few-shot classification on embeddings (paper section 4.2)."""
