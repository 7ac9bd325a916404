"""Training on several machines: rendezvous, connection, collectives, launch."""
