"""Samplers of trials: random search whose draws depend only on study seed and trial number, and Optuna's TPE."""

import zlib
from typing import Any

import numpy as np
import optuna

SAMPLERS = ("random", "tpe")


class SeededRandomSampler(optuna.samplers.RandomSampler):
    """Random search in which every draw is a function of (seed, trial number, setting).

    So a study is the same however many commands share it and however often they are interrupted.

    Args:
      seed: of the study.
    """

    def __init__(self, seed: int):
        super().__init__(seed)
        self._study_seed = seed

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Draw a value; see optuna.samplers.BaseSampler."""
        seed = derive_seed(self._study_seed, trial.number, zlib.crc32(param_name.encode()))
        sampler = optuna.samplers.RandomSampler(seed)
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def make_sampler(name: str, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Return Optuna's sampler for a trial.

    Args:
      name: of SAMPLERS.
      seed: of the study.
      number: of the next trial.
    """
    if name == "tpe":
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=derive_seed(seed, number))
    return SeededRandomSampler(seed)


def derive_seed(*numbers: int) -> int:
    """Return a seed below 2^32 that is a function of these whole numbers, each at least 0."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
