"""Score baselines on a model's tasks: the order of the work."""

import time
from typing import NamedTuple

import numpy as np

from leo_tf.classification.baselines.feature_spaces import RAW, space_of_model
from leo_tf.classification.baselines.model_selection import Choice, choose, validation_tasks
from leo_tf.classification.baselines.registry import FITTED, NEAREST_MEANS
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.evaluation.single_process import SINGLE_PROCESS


class Measured(NamedTuple):
    """What a baseline scored."""

    title: str
    accuracy: np.ndarray  # [tasks]
    loss: np.ndarray  # [tasks], nats
    strength: str  # name of what was chosen; empty where nothing was
    choice: Choice | None
    seconds: float  # with the choice

    def summary(self):
        """Return what was chosen, from what, and the time it took, for JSON."""
        if self.choice is None:
            return {"seconds": self.seconds}
        tried = {f"{value:g}": accuracy for value, accuracy in self.choice.accuracies.items()}
        return {self.strength: self.choice.strength, "validation_accuracy": tried, "seconds": self.seconds}


class Scoring:
    """Score baselines on Tasks; each is scored once, however many models are compared with it.

    Args:
      table: EmbeddingTable that the tasks are of.
      tasks: Tasks.
      batch_size: tasks at once; changes speed and memory only.
      load_validation: function without arguments that returns the EmbeddingTable of the validation classes; called
        where a strength is to be chosen.
    """

    def __init__(self, table, tasks, batch_size, load_validation=None):
        self._table, self._tasks, self._batch_size = table, tasks, batch_size
        self._load_validation, self._validation = load_validation, None
        self._measured, self._tables = {}, {}

    def validation(self):
        """Return (EmbeddingTable of the validation classes, Tasks of it to choose strengths on).

        Raises:
          InputError: they cannot be read, or have no such tasks.
        """
        if self._validation is None:
            table = self._load_validation()
            self._validation = table, validation_tasks(table, self._tasks.ways, self._tasks.shots)
        return self._validation

    def measure(self, baseline, space, workers=SINGLE_PROCESS):
        """Return the Measured of a Baseline in a Space, its strength chosen on validation tasks.

        Args:
          baseline: Baseline.
          space: Space.
          workers: Collectives that the tasks are spread over; all of its workers call this.

        Raises:
          InputError: as `validation`.
        """
        tasks, title = self._tasks, title_of(baseline, space)
        key = title, space.digest
        if key not in self._measured:
            start = time.perf_counter()
            choice = self._choice(baseline, space, workers)
            strength = choice and choice.strength
            sampler = sampler_of(self._in(space, self._table), tasks)
            batch_size = workers.batch_size(len(tasks), self._batch_size)
            fitted = Evaluator(lambda x, y: baseline.fit(x, y, strength), sampler, batch_size)
            scores = workers.spread(lambda some: fitted.run_on(tasks.take(some), title), len(tasks), batch_size)
            seconds = time.perf_counter() - start
            self._measured[key] = Measured(title, scores.accuracy, scores.loss, baseline.strength, choice, seconds)
        return self._measured[key]

    def _choice(self, baseline, space, workers):
        if not baseline.strengths:
            return None
        table, tasks = self.validation()
        return choose(baseline.fit, baseline.strengths, self._in(space, table), tasks, workers=workers)

    def _in(self, space, table):
        key = space.digest, table.digest
        if key not in self._tables:
            self._tables[key] = space.of(table)
        return self._tables[key]


def title_of(baseline, space):
    """Return the name, for readers, of a Baseline in a Space."""
    return ", ".join(filter(None, [baseline.title, space.adjective]))


def planned(model, names=(), training_classes=None, load_plda=None):
    """Yield (Baseline, Space) of what stands beside a model's result, in the order in which it is shown.

    Always nearest class means; raw, and in the space of the model's own transform, or else whitened.

    Args:
      model: classification.ClassificationLearner.
      names: of ON_REQUEST.
      training_classes: TrainingClasses; None where there are none, and nothing to whiten by.
      load_plda: function without arguments that returns the Space of PLDA, or None; called where it is asked for and
        not the model's own.
    """
    transformed = space_of_model(model) or (training_classes and training_classes.whitened)
    spaces = [RAW, transformed] if transformed else [RAW]
    for space in spaces:
        yield from ((nearest, space) for nearest in NEAREST_MEANS.values())
    for name in names:
        if name in FITTED:
            yield from ((FITTED[name], space) for space in spaces)
        elif name == "lda" and training_classes and training_classes.lda:
            yield training_classes.lda, RAW
        elif name == "plda" and load_plda and model.config.feature_transform != "plda":
            space = load_plda()
            yield from ((nearest, space) for nearest in NEAREST_MEANS.values() if space)
