"""Scores of baselines on a model's tasks."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from leo_tf.classification.baselines.base_classes import BaseClasses
from leo_tf.classification.baselines.feature_spaces import RAW, FeatureSpace
from leo_tf.classification.baselines.model_selection import Choice, choose, validation_tasks
from leo_tf.classification.baselines.registry import FITTED, NEAREST_MEANS, Baseline
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.evaluation.single_process import SINGLE_PROCESS


class BaselineScores(NamedTuple):
    """Scores of a baseline, and the choice of its hyperparameter."""

    title: str
    accuracy: np.ndarray  # [tasks]
    loss: np.ndarray  # [tasks], nats
    hyperparameter: str  # empty if there is none
    choice: Choice | None
    seconds: float  # including the choice

    def summary(self) -> dict[str, Any]:
        """Return the choice, its alternatives and the time taken, for JSON."""
        if self.choice is None:
            return {"seconds": self.seconds}
        tried = {f"{value:g}": accuracy for value, accuracy in self.choice.accuracies.items()}
        return {self.hyperparameter: self.choice.value, "validation_accuracy": tried, "seconds": self.seconds}


class Scoring:
    """Scores of baselines on Tasks; `load_validation` returns the validation classes."""

    def __init__(self, table: EmbeddingTable, tasks: Tasks, batch_size: int, load_validation: Any = None) -> None:
        self._table, self._tasks, self._batch_size = table, tasks, batch_size
        self._load_validation, self._in_space = load_validation, functools.cache(FeatureSpace.of)

    @functools.cached_property
    def validation(self) -> tuple[EmbeddingTable, Tasks]:
        """(EmbeddingTable of the validation classes, Tasks of it to choose hyperparameters on)."""
        table = self._load_validation()
        return table, validation_tasks(table, self._tasks)

    def measure(self, baseline: Baseline, space: FeatureSpace, workers: Any = SINGLE_PROCESS) -> BaselineScores:
        """Return the BaselineScores of a Baseline in a FeatureSpace; all workers call it, and share the tasks."""
        tasks, title, start, choice = self._tasks, title_of(baseline, space), time.perf_counter(), None
        if baseline.candidates:
            table, chosen_on = self.validation
            choice = choose(baseline.fit, baseline.candidates, self._in_space(space, table), chosen_on, workers=workers)
        value = choice and choice.value
        batch_size = workers.batch_size(len(tasks), self._batch_size)
        sampler = sampler_of(self._in_space(space, self._table), tasks)
        evaluator = Evaluator(lambda x, y: baseline.fit(x, y, value), sampler, batch_size)
        scores = evaluator.run_with(workers, tasks, title)
        seconds = time.perf_counter() - start
        return BaselineScores(title, scores.accuracy, scores.loss, baseline.hyperparameter, choice, seconds)


def title_of(baseline: Baseline, space: FeatureSpace) -> str:
    """Return the name, for readers, of a Baseline in a FeatureSpace."""
    return ", ".join(filter(None, [baseline.title, space.adjective]))


def planned(
    names: Sequence[str] = (),
    base_classes: BaseClasses | None = None,
    load_plda: Callable[[], Sequence[tuple[Baseline, FeatureSpace]]] | None = None,
) -> Iterator[tuple[Baseline, FeatureSpace]]:
    """Yield the (Baseline, FeatureSpace) pairs that models are compared with, in the order of the report.

    Nearest class means always, on raw embeddings and whitened by the base classes. `names`, of ON_REQUEST, add others;
    `load_plda` returns those of PLDA.
    """
    transformed = base_classes and base_classes.whitened
    spaces = [RAW, transformed] if transformed else [RAW]
    for space in spaces:
        yield from ((nearest, space) for nearest in NEAREST_MEANS.values())
    for name in names:
        if name in FITTED:
            yield from ((FITTED[name], space) for space in spaces)
        elif name == "lda" and base_classes and base_classes.lda:
            yield base_classes.lda, RAW
        elif name == "plda" and load_plda:
            yield from load_plda()
