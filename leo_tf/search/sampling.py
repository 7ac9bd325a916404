"""Where trials come from: draws that are a function of study seed and trial number, and Optuna's TPE."""

import zlib

import numpy as np
import optuna

SAMPLERS = ("random", "tpe")


class NumberedDraws(optuna.samplers.RandomSampler):
    """Random search whose every draw is a function of (seed, trial number, setting).

    So it does not matter how many commands share a study, or how often they were stopped.

    Args:
      seed: int, of the study.
    """

    def __init__(self, seed):
        super().__init__(seed)
        self._study_seed = seed

    def sample_independent(self, study, trial, param_name, param_distribution):
        """Draw a value; see optuna.samplers.BaseSampler."""
        seed = seed_of(self._study_seed, trial.number, zlib.crc32(param_name.encode()))
        drawing = optuna.samplers.RandomSampler(seed)
        return drawing.sample_independent(study, trial, param_name, param_distribution)


def sampler_of(kind, seed, number):
    """Return Optuna's sampler for a trial.

    Args:
      kind: of SAMPLERS.
      seed: int, of the study.
      number: of the trial to come.
    """
    if kind == "tpe":
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed_of(seed, number))
    return NumberedDraws(seed)


def seed_of(*numbers):
    """Return a seed below 2^32 that is a function of these whole numbers, each of at least 0."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
