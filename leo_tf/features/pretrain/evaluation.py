"""Validation of pre-training: accuracy on held-out images, and of nearest class mean on the validation classes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.baselines.nearest_mean import nearest_class_mean
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import draw_tasks
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.single_process import SingleProcess
from leo_tf.features.extractor import pooled
from leo_tf.features.images import Preprocessing
from leo_tf.features.pretrain.batches import COPIES, copied
from leo_tf.features.settings import PretrainConfig
from leo_tf.features.wrn import default_layer
from leo_tf.problem import Validation

_BATCH = 128
_TASKS_PER_BATCH = 50
_MEASURES = {1: "one_shot_accuracy", 5: "five_shot_accuracy"}  # by shots
_Function = Callable[[tf.Tensor], tf.Tensor]


class _Outputs(NamedTuple):
    """Outputs of a network for images."""

    values: np.ndarray  # [..., images]


class Evaluation:
    """Accuracy on held-out images, and of nearest class mean in few-shot tasks of the validation classes.

    The model maps images to logits. `heldout` are squares uint8 [images, side, side, channels] and labels int [images],
    perhaps of no image; `validation` squares and class names, if there are any. All workers call `validate`, and share
    the images.
    """

    higher_is_better = True

    def __init__(
        self,
        config: PretrainConfig,
        model: keras.Model,
        heldout: tuple[np.ndarray, np.ndarray],
        validation: tuple[np.ndarray, Sequence[str]] | None,
        workers: SingleProcess,
    ) -> None:
        training, preprocessing = config.training, Preprocessing.of_config(config.images)
        self._training, self._workers, self._copies = training, workers, COPIES[training.class_copies]
        self._num_classes = model.outputs[0].shape[-1] // self._copies
        self._heldout, self._labels = heldout
        logits = _inference(model, model.outputs[0])
        self._predict = _compiled(lambda images: tf.argmax(logits(images), axis=-1), preprocessing)
        measures = ["accuracy"] if len(self._labels) else []
        self._shots: list[int] = []
        if validation:
            self._squares, self._names = validation
            self._features = _compiled(_inference(model, pooled(model, default_layer(config.network))), preprocessing)
            smallest = min(np.unique(self._names, return_counts=True)[1])
            self._shots = [shots for shots in _MEASURES if shots == 1 or smallest > shots]
            measures += [_MEASURES[shots] for shots in self._shots]
            placeholder = self._table(np.ones((len(self._names), 1)))
            for shots in self._shots:
                EpisodeSampler(placeholder, training.eval_ways, shots)  # refuses too few classes or images
        self.measure = "accuracy" if training.monitor == "heldout" else _MEASURES[1]
        self.other_measures = tuple(name for name in measures if name != self.measure)

    @staticmethod
    def text(value: float, half_width: float | None = None) -> str:
        return f"{100 * value:.2f} %" if half_width is None else Interval(value, half_width).percent()

    def advice(self, validation: Validation, step: int, best_step: int) -> str:
        return ""

    def validate(self) -> Validation:
        """Measure the current weights."""
        found = {}
        if len(self._labels):
            count = self._copies * len(self._labels)
            found["accuracy"] = self._workers.map_tasks(self._correct, count, _BATCH).values
        if self._shots:
            found |= self._few_shot_accuracies()
        others = {name: float(found[name].mean()) for name in self.other_measures}
        return Validation(confidence_interval(found[self.measure]), others)

    def _correct(self, numbers: np.ndarray) -> _Outputs:
        """Return whether held-out images, in each copy, are classified correctly: bool [numbers]."""
        correct = []
        for batch in _batches(numbers):
            copies, rows = np.divmod(batch, len(self._labels))
            predicted = self._predict(copied(self._heldout[rows], copies)).numpy()
            correct.append(predicted == self._labels[rows] + copies * self._num_classes)
        return _Outputs(np.concatenate(correct))

    def _few_shot_accuracies(self) -> dict[str, np.ndarray]:
        """Return {measure: accuracy of each task, [tasks]}."""
        table = self._table(self._workers.map_tasks(self._embeddings, len(self._names), _BATCH).values.T)
        found = {}
        for shots in self._shots:
            ways, count = self._training.eval_ways, self._training.eval_tasks
            tasks = draw_tasks(table, ways, shots, None, count, stream=randomness.VALIDATION)
            batch_size = min(_TASKS_PER_BATCH, len(tasks))
            evaluator = Evaluator(nearest_class_mean, sampler_of(table, tasks), batch_size)
            found[_MEASURES[shots]] = evaluator.run_on(tasks).accuracy
        return found

    def _table(self, embeddings: np.ndarray) -> EmbeddingTable:
        return EmbeddingTable.from_arrays(embeddings, self._names, source="the validation images")

    def _embeddings(self, numbers: np.ndarray) -> _Outputs:
        parts = [self._features(np.asarray(self._squares[batch])).numpy() for batch in _batches(numbers)]
        return _Outputs(np.concatenate(parts).T)


def _batches(numbers: np.ndarray) -> list[np.ndarray]:
    return np.split(numbers, range(_BATCH, len(numbers), _BATCH))


def _compiled(function: _Function, preprocessing: Preprocessing) -> Callable[[np.ndarray], tf.Tensor]:
    """Return `function` of squares, preprocessed and padded to one batch size, so that one graph serves all."""

    @tf.function(reduce_retracing=True)
    def whole(squares: tf.Tensor) -> tf.Tensor:
        return function(preprocessing.views(squares)[:, 0])

    def padded(squares: np.ndarray) -> tf.Tensor:
        size = len(squares)
        filled = np.pad(squares, [(0, _BATCH - size)] + [(0, 0)] * 3)
        return whole(tf.constant(filled))[:size]

    return padded


def _inference(model: keras.Model, output: Any) -> _Function:
    """Return a function from images [n, ...] to an output of the model, without dropout."""
    part = keras.Model(model.inputs, output)

    def run(images: tf.Tensor) -> tf.Tensor:
        if len(part.inputs) == 1:
            return part(images, training=False)
        # The second input are numbers of examples, which only dropout uses.
        return part([images, tf.zeros(tf.shape(images)[:1], tf.int64)], training=False)

    return run
