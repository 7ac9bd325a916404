"""How pre-training goes: accuracy on held-out images, and nearest class mean on classes that were never trained on."""

import keras
import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import draw_from
from leo_tf.classification.yardsticks.nearest_mean import nearest_class_mean
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.features.pretrain.batches import copied

_AT_ONCE = 128


class HeldOut:
    """Accuracy of a network on images that it was not trained on, of the classes that it was.

    Args:
      logits: function from scaled images [n, ...] to logits [n, classes].
      squares: uint8 [images, side, side, channels].
      labels: int [images].
      num_classes: of the labels.
      copies: of every class.
      preprocessing: Preprocessing.
    """

    def __init__(self, logits, squares, labels, num_classes, copies, preprocessing):
        self._squares, self._labels, self._copies = squares, np.asarray(labels), copies
        self._num_classes = num_classes
        self._answer = _compiled(lambda images: tf.argmax(logits(images), axis=-1), preprocessing)

    def __call__(self):
        """Return whether each image, in each copy, is told right: bool [images * copies]."""
        right = []
        for copy in range(self._copies):
            for start in range(0, len(self._labels), _AT_ONCE):
                squares = np.asarray(self._squares[start : start + _AT_ONCE])
                squares = copied(squares, np.full(len(squares), copy))
                answers = self._answer(squares).numpy()
                right.append(answers == self._labels[start : start + _AT_ONCE] + copy * self._num_classes)
        return np.concatenate(right)


class FewShotWatch:
    """Nearest class mean in 1-shot and 5-shot tasks of the validation classes.

    Args:
      features: function from scaled images [n, ...] to embeddings [n, dim].
      squares: uint8 [images, side, side, channels].
      labels: class names [images].
      preprocessing: Preprocessing.
      training: FeatureTrainingConfig.

    Raises:
      InputError: fewer classes than watch_ways, or than 2 images in one.
    """

    def __init__(self, features, squares, labels, preprocessing, training):
        self._squares, self._labels, self._training = squares, labels, training
        self._features = _compiled(features, preprocessing)
        smallest = min(np.unique(labels, return_counts=True)[1])
        self.shots = tuple(shots for shots in (1, 5) if shots == 1 or smallest > shots)
        placeholder = EmbeddingTable.from_arrays(np.ones((len(labels), 1)), labels, source="the validation images")
        for shots in self.shots:
            EpisodeSampler(placeholder, training.watch_ways, shots)

    def __call__(self):
        """Return {shots: accuracy of each task, [tasks]}."""
        starts = range(0, len(self._labels), _AT_ONCE)
        parts = [self._features(np.asarray(self._squares[i : i + _AT_ONCE])).numpy() for i in starts]
        table = EmbeddingTable.from_arrays(np.concatenate(parts), self._labels, source="the validation images")
        found = {}
        for shots in self.shots:
            sampler = EpisodeSampler(table, self._training.watch_ways, shots)
            tasks = draw_from(sampler, table.digest, self._training.watch_tasks, 0, randomness.VALIDATION)
            evaluator = Evaluator(lambda x, y: nearest_class_mean(x), sampler_of(table, tasks), min(50, len(tasks)))
            found[shots] = evaluator.run_on(tasks).accuracy
        return found


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
