"""A learner's scores after each step of adaptation, and its learned learning rates."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from leo_tf.analysis.section import quantiles
from leo_tf.analysis_target import AnalysisTarget
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.learners.meta_learner import MetaLearner


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """Scores of a learner before and after each of its steps.

    Attributes:
      latent_steps: number of latent steps, which come first.
      scores: {measure: [steps + 1, tasks]}, from AnalysisTarget.scores.
      learning_rates: {name: [n]}, the learned ones.
    """

    latent_steps: int
    scores: Mapping[str, np.ndarray]
    learning_rates: Mapping[str, np.ndarray]

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Numbers of latent and of fine-tuning steps in each row of the scores."""
        rows, latent = len(next(iter(self.scores.values()))), self.latent_steps
        return [(min(step, latent), max(0, step - latent)) for step in range(rows)]

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON; gains are differences to no steps at all, paired over tasks."""
        return {
            "steps": [
                {
                    "latent_steps": latent,
                    "finetuning_steps": finetuning,
                    **{name: confidence_interval(values[row])._asdict() for name, values in self.scores.items()},
                    "gain": {
                        name: confidence_interval(values[row] - values[0])._asdict()
                        for name, values in self.scores.items()
                    },
                }
                for row, (latent, finetuning) in enumerate(self.steps)
            ],
            "learning_rates": {
                name: {**quantiles(rates), "fraction_below_zero": float(np.mean(rates < 0))}
                for name, rates in self.learning_rates.items()
            },
        }


def measure_adaptation(target: AnalysisTarget) -> Adaptation:
    """Score a target's learner before and after every step, in one pass over the tasks.

    Meta-training optimises the scores after the learner's own number of steps; those before, or with more steps (see
    `with_steps`), need not be good.
    """
    learner = target.learner
    latent, finetuning = learner.inner_steps
    taken = [latent, finetuning] if target.has_decoder else [finetuning]
    rates = {
        rate.name: rate.numpy().ravel()
        for rate, steps in zip(learner.learning_rates, taken, strict=False)
        if steps  # without steps, a rate still has its initial value
    }
    return Adaptation(latent, target.scores(), rates)


def with_steps(learner: MetaLearner, latent_steps: int, finetuning_steps: int) -> MetaLearner:
    """Return a learner of the same weights with other numbers of steps; MAML has no latent ones."""
    config = learner.config_of_steps(latent_steps, finetuning_steps)
    other = type(learner).from_config({**learner.get_config(), "config": dataclasses.asdict(config)})
    other.set_weights(learner.get_weights())
    return other
