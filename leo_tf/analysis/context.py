"""Context of the analyses: the run, the runs it is compared with, and the tasks."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from leo_tf.config import RunConfig
from leo_tf.learners.meta_learner import MetaLearner
from leo_tf.problem import Evaluation


@dataclasses.dataclass(frozen=True, eq=False)
class AnalysisContext:
    """Input of every analysis."""

    learner: MetaLearner
    evaluation_of: Callable[[str], Evaluation]  # from a split, cached
    others: Mapping[str, MetaLearner]  # by name, to compare with on the same tasks
    split: str  # of all analyses; empty leaves the choice to each
    seed: int
    highlight: str  # label to show alone; empty for the first
    images: str  # folder of the images behind the embeddings; empty for none

    def evaluation(self, default_split: str) -> Any:
        """Return the Evaluation of the split that was asked for, or of `default_split`."""
        return self.evaluation_of(self.split or default_split)

    def target(self, default_split: str) -> Any:
        """Return the AnalysisTarget of the run's learner; split as in `evaluation`."""
        return self.evaluation(default_split).analysis_target(self.learner)

    def describe(self, default_split: str) -> dict[str, Any]:
        """Describe the tasks for JSON; split as in `evaluation`."""
        evaluation = self.evaluation(default_split)
        return {**evaluation.about, "num_tasks": len(evaluation.tasks), "tasks_digest": evaluation.tasks.digest}


def model_name(learner: MetaLearner) -> str:
    """Return the paper's name of a learner: LEO without latent steps is its conditional generator."""
    latent, finetuning = learner.inner_steps
    if not learner.has_latents or latent:
        return learner.algorithm
    return "generator + fine-tuning" if finetuning else "generator only"


def describe_tasks(config: RunConfig) -> str:
    """Describe the tasks of a RunConfig in a few words."""
    episodes = config.episodes
    shots = episodes.num_tr_examples_per_class
    if config.problem == "regression":
        return f"tasks of {shots} {'point' if shots == 1 else 'points'}"
    within = "" if episodes.tasks_within == "all" else f" within a {episodes.tasks_within}"
    return f"{episodes.num_classes}-way {shots}-shot tasks of {config.data.dataset_name}{within}"
