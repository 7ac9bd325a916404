"""How pre-training goes: accuracy on held-out images, and nearest class mean on classes that were never trained on."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.baselines.nearest_mean import nearest_class_mean
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import draw_from
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.features.pretrain.batches import copied

_AT_ONCE = 128


class _Rows(NamedTuple):
    """What a network says of images."""

    values: np.ndarray  # [..., images]


class HeldOut:
    """Accuracy of a network on images that it was not trained on, of the classes that it was.

    Args:
      logits: function from scaled images [n, ...] to logits [n, classes].
      squares: uint8 [images, side, side, channels].
      labels: int [images].
      num_classes: of the labels.
      copies: of every class.
      preprocessing: Preprocessing.
      workers: Collectives that the images are spread over; all of its workers ask.
    """

    def __init__(self, logits, squares, labels, num_classes, copies, preprocessing, workers=SINGLE_PROCESS):
        self._squares, self._labels, self._copies = squares, np.asarray(labels), copies
        self._num_classes, self._workers = num_classes, workers
        self._answer = _compiled(lambda images: tf.argmax(logits(images), axis=-1), preprocessing)

    def __call__(self):
        """Return whether each image, in each copy, is told right: bool [images * copies]."""
        return self._workers.spread(self._right, self._copies * len(self._labels), _AT_ONCE).values

    def _right(self, numbers):
        right = []
        for some in _parts(numbers):
            copies, rows = np.divmod(some, len(self._labels))
            answers = self._answer(copied(self._squares[rows], copies)).numpy()
            right.append(answers == self._labels[rows] + copies * self._num_classes)
        return _Rows(np.concatenate(right))


class FewShotWatch:
    """Nearest class mean in 1-shot and 5-shot tasks of the validation classes.

    Args:
      features: function from scaled images [n, ...] to embeddings [n, dim].
      squares: uint8 [images, side, side, channels].
      labels: class names [images].
      preprocessing: Preprocessing.
      training: FeatureTrainingConfig.
      workers: as for HeldOut.

    Raises:
      InputError: fewer classes than eval_ways, or than 2 images in one.
    """

    def __init__(self, features, squares, labels, preprocessing, training, workers=SINGLE_PROCESS):
        self._squares, self._labels, self._training, self._workers = squares, labels, training, workers
        self._features = _compiled(features, preprocessing)
        smallest = min(np.unique(labels, return_counts=True)[1])
        self.shots = tuple(shots for shots in (1, 5) if shots == 1 or smallest > shots)
        placeholder = EmbeddingTable.from_arrays(np.ones((len(labels), 1)), labels, source="the validation images")
        for shots in self.shots:
            EpisodeSampler(placeholder, training.eval_ways, shots)

    def __call__(self):
        """Return {shots: accuracy of each task, [tasks]}."""
        rows = self._workers.spread(self._embedded, len(self._labels), _AT_ONCE).values.T
        table = EmbeddingTable.from_arrays(rows, self._labels, source="the validation images")
        found = {}
        for shots in self.shots:
            sampler = EpisodeSampler(table, self._training.eval_ways, shots)
            tasks = draw_from(sampler, table.digest, self._training.watch_tasks, 0, randomness.VALIDATION)
            evaluator = Evaluator(lambda x, y: nearest_class_mean(x), sampler_of(table, tasks), min(50, len(tasks)))
            found[shots] = evaluator.run_on(tasks).accuracy
        return found

    def _embedded(self, numbers):
        parts = [self._features(np.asarray(self._squares[some])).numpy() for some in _parts(numbers)]
        return _Rows(np.concatenate(parts).T)


def _parts(numbers):
    return np.split(numbers, range(_AT_ONCE, len(numbers), _AT_ONCE))


def _compiled(function, preprocessing):
    """Return `function` of squares: cut, scaled, and always of one batch size, so that one graph serves all."""

    @tf.function(reduce_retracing=True)
    def whole(squares):
        return function(preprocessing.views(squares)[:, 0])

    def padded(squares):
        size = len(squares)
        if size < _AT_ONCE:
            squares = np.concatenate([squares, np.zeros((_AT_ONCE - size, *squares.shape[1:]), squares.dtype)])
        return whole(tf.constant(squares))[:size]

    return padded


def pooled(model, layer):
    """Return the Keras model to a layer's output, averaged over the image where it has height and width."""
    output = model.get_layer(layer).output
    if len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(output)
    return keras.Model(model.inputs, output)


def without_dropout(model):
    """Return a function from images to a model's output in inference."""

    def run(images):
        if len(model.inputs) == 1:
            return model(images, training=False)
        # Numbers of examples, of which only dropout takes notice.
        return model([images, tf.zeros(tf.shape(images)[:1], tf.int64)], training=False)

    return run
