"""Hyperparameter search: trials are ordinary runs, compared by validation; the best are trained again to choose."""
