"""Baselines of regression: the exact posterior, which no learner can beat, and Gaussian processes."""
