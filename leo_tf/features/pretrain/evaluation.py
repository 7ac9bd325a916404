"""Validation of pre-training: accuracy on held-out images, and of nearest class mean on the validation classes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.baselines.nearest_mean import nearest_class_mean
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import draw_from
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.evaluation.single_process import SINGLE_PROCESS, SingleProcess
from leo_tf.features.images import Preprocessing
from leo_tf.features.pretrain.batches import copied
from leo_tf.features.settings import FeatureTrainingConfig

_BATCH = 128
_TASKS_PER_BATCH = 50
_Function = Callable[[tf.Tensor], tf.Tensor]


class _Outputs(NamedTuple):
    """Outputs of a network for images."""

    values: np.ndarray  # [..., images]


class HeldOutAccuracy:
    """Accuracy on held-out images of the training classes.

    Args:
      logits: function from normalised images [n, ...] to logits [n, classes].
      squares: uint8 [images, side, side, channels].
      labels: int [images].
      num_classes: of the labels.
      copies: copies of every class; see Batches.
      preprocessing: Preprocessing.
      workers: Collectives that share the images; all of its workers call the object.
    """

    def __init__(
        self,
        logits: _Function,
        squares: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        copies: int,
        preprocessing: Preprocessing,
        workers: SingleProcess = SINGLE_PROCESS,
    ) -> None:
        self._squares, self._labels, self._copies = squares, np.asarray(labels), copies
        self._num_classes, self._workers = num_classes, workers
        self._predict = _compiled(lambda images: tf.argmax(logits(images), axis=-1), preprocessing)

    def __call__(self) -> np.ndarray:
        """Return whether each image, in each copy, is classified correctly: bool [images * copies]."""
        return self._workers.map_tasks(self._correct, self._copies * len(self._labels), _BATCH).values

    def _correct(self, numbers: np.ndarray) -> _Outputs:
        correct = []
        for batch in _batches(numbers):
            copies, rows = np.divmod(batch, len(self._labels))
            predicted = self._predict(copied(self._squares[rows], copies)).numpy()
            correct.append(predicted == self._labels[rows] + copies * self._num_classes)
        return _Outputs(np.concatenate(correct))


class FewShotAccuracy:
    """Accuracy of nearest class mean in 1-shot and 5-shot tasks of the validation classes.

    Args:
      features: function from normalised images [n, ...] to embeddings [n, dim].
      squares: uint8 [images, side, side, channels].
      labels: class names [images].
      preprocessing: Preprocessing.
      training: FeatureTrainingConfig.
      workers: as in HeldOutAccuracy.

    Raises:
      InputError: there are fewer than eval_ways classes, or fewer than 2 images of a class.
    """

    def __init__(
        self,
        features: _Function,
        squares: np.ndarray,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        training: FeatureTrainingConfig,
        workers: SingleProcess = SINGLE_PROCESS,
    ) -> None:
        self._squares, self._labels, self._training, self._workers = squares, labels, training, workers
        self._features = _compiled(features, preprocessing)
        smallest = min(np.unique(labels, return_counts=True)[1])
        self.shots = tuple(shots for shots in (1, 5) if shots == 1 or smallest > shots)
        placeholder = self._table(np.ones((len(labels), 1)))
        for shots in self.shots:
            EpisodeSampler(placeholder, training.eval_ways, shots)

    def __call__(self) -> dict[int, np.ndarray]:
        """Return {shots: accuracy of each task, [tasks]}."""
        table = self._table(self._workers.map_tasks(self._embeddings, len(self._labels), _BATCH).values.T)
        found = {}
        for shots in self.shots:
            sampler = EpisodeSampler(table, self._training.eval_ways, shots)
            tasks = draw_from(sampler, table.digest, self._training.eval_tasks, 0, randomness.VALIDATION)
            batch_size = min(_TASKS_PER_BATCH, len(tasks))
            evaluator = Evaluator(lambda x, y: nearest_class_mean(x), sampler_of(table, tasks), batch_size)
            found[shots] = evaluator.run_on(tasks).accuracy
        return found

    def _table(self, embeddings: np.ndarray) -> EmbeddingTable:
        return EmbeddingTable.from_arrays(embeddings, self._labels, source="the validation images")

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


def without_dropout(model: keras.Model) -> _Function:
    """Return a function from images to a model's output in inference."""

    def run(images: tf.Tensor) -> tf.Tensor:
        if len(model.inputs) == 1:
            return model(images, training=False)
        # The second input are numbers of examples, which only dropout uses.
        return model([images, tf.zeros(tf.shape(images)[:1], tf.int64)], training=False)

    return run
