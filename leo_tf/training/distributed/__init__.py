"""Training on several machines: rendezvous, collectives, the loop of a worker, launch."""
