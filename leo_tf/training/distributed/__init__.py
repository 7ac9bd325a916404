"""Training on several machines: rendezvous, connection, collectives, the loop of a worker, launch."""
