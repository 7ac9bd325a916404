"""A run that is analysed, the runs beside it, and the tasks."""

import dataclasses
import functools
from typing import Any

from leo_tf.analysis_target import AnalysisTarget
from leo_tf.problem import Evaluation


@dataclasses.dataclass(frozen=True, eq=False)
class Analysed:
    """What analyses are made of.

    Attributes:
      learner: MetaLearner.
      evaluation_of: function from a split to the problem's Evaluation.
      others: {name: MetaLearner}, to compare with on the same tasks.
      split: the split asked for; empty leaves it to the analysis.
      seed: int, of what is drawn.
      highlight: a label to show alone; empty for the first.
      images: folder of the images that embeddings are of; empty for none.
    """

    learner: Any
    evaluation_of: Any
    others: dict[str, Any] = dataclasses.field(default_factory=dict)
    split: str = ""
    seed: int = 0
    highlight: str = ""
    images: str = ""

    def __post_init__(self):
        object.__setattr__(self, "evaluation_of", functools.cache(self.evaluation_of))

    @property
    def name(self) -> str:
        """The model's name."""
        return model_name(self.learner)

    def evaluation(self, split) -> Evaluation:
        """Return the Evaluation of the split asked for, or else of `split`."""
        return self.evaluation_of(self.split or split)

    def subject(self, split) -> AnalysisTarget:
        """Return the AnalysisTarget of the run's learner; split as in `evaluation`."""
        return self.evaluation(split).subject(self.learner)

    def about(self, split) -> dict:
        """Return facts on the tasks, a dict for JSON."""
        evaluation = self.evaluation(split)
        return {**evaluation.about, "num_tasks": len(evaluation.tasks), "tasks_digest": evaluation.tasks.digest}


def model_name(learner):
    """Return what the paper calls a learner: LEO without latent steps is its conditional generator."""
    latent, finetuning = learner.inner_steps
    if not hasattr(learner, "decoder") or latent:
        return learner.algorithm
    return "generator + fine-tuning" if finetuning else "generator only"


def tasks_in_words(config):
    """Return what the tasks of a RunConfig are."""
    episodes = config.episodes
    shots = episodes.num_tr_examples_per_class
    if config.problem == "regression":
        return f"tasks of {shots} {'point' if shots == 1 else 'points'}"
    within = "" if episodes.tasks_within == "all" else f" within a {episodes.tasks_within}"
    return f"{episodes.num_classes}-way {shots}-shot tasks of {config.data.dataset_name}{within}"
