"""How embeddings are made: networks, their training, and what they are run on."""
