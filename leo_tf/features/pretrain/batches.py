"""The batches of pre-training: a function of (seed, step) alone, so that a continued run sees what it would have."""

import functools

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.features.augmentation import augment, draw

COPIES = {"none": 1, "rotations": 4, "rotations_and_mirrored": 8}


class Batches:
    """Batches of augmented images.

    A copy of a class, all its images turned or mirrored, is a class of its own: class c of n is, in copy k, k * n + c.

    Args:
      squares: uint8 [images, side, side, channels]; may be memory-mapped.
      labels: int [images].
      num_classes: of the labels.
      training: FeatureTrainingConfig.
      preprocessing: Preprocessing.
    """

    def __init__(self, squares, labels, num_classes, training, preprocessing):
        self._squares, self._labels = squares, np.asarray(labels, np.int32)
        self._training, self._preprocessing = training, preprocessing
        self._copies = COPIES[training.class_copies]
        self._base_classes = num_classes
        self.num_classes = num_classes * self._copies
        self._order = functools.lru_cache(maxsize=2)(self._permutation)

    def __len__(self):
        return len(self._labels) * self._copies

    def rows(self, step):
        """Return (rows [batch], copies [batch]) of a step: every image in every copy comes once in a pass."""
        size = self._training.batch_size
        examples = np.arange(step * size, (step + 1) * size)
        passes, places = np.divmod(examples, len(self))
        chosen = np.empty(size, np.int64)
        for each in np.unique(passes):
            here = passes == each
            chosen[here] = self._order(int(each))[places[here]]
        copies, rows = np.divmod(chosen, len(self._labels))
        return rows, copies

    def read(self, step):
        """Return squares uint8 [batch, side, side, channels] and labels int32 [batch] of a step."""
        rows, copies = self.rows(step)
        labels = self._labels[rows] + (copies * self._base_classes).astype(np.int32)
        return copied(self._squares[rows], copies), labels

    def dataset(self, first_step):
        """Return a tf.data.Dataset, without end, of what the steps from `first_step` on take.

        Its elements: scaled images float32 [batch, size, size, channels], labels int32 [batch], the number of the first
        example, int64.
        """
        side, channels = self._squares.shape[1], self._squares.shape[3]
        size, training, scaled = self._training.batch_size, self._training, self._preprocessing.scaled

        def batch(step):
            squares, labels = tf.numpy_function(self.read, [step], [tf.uint8, tf.int32])
            squares, labels = tf.ensure_shape(squares, [size, side, side, channels]), tf.ensure_shape(labels, [size])
            first = step * size
            draws = draw(training.seed, first, size)
            images = augment(squares, training.augmentation, self._preprocessing.image_size, draws)
            return scaled(images), labels, first

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        return steps.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _permutation(self, number):
        generator = np.random.Generator(np.random.Philox(key=[self._training.seed, randomness.IMAGE_ORDER + number]))
        return generator.permutation(len(self))


def copied(squares, copies):
    """Return squares [n, side, side, channels] turned by copies % 4 quarters, and mirrored where copies [n] >= 4."""
    squares = np.array(squares)
    for copy in np.unique(copies):
        if copy:
            here = copies == copy
            turned = np.rot90(squares[here], copy % 4, axes=(1, 2))
            squares[here] = turned[:, :, ::-1] if copy >= 4 else turned
    return squares


def hold_out(labels, fraction, seed):
    """Choose the images of each class that are not trained on, at least one and never all.

    Returns:
      bool [images], True where an image is held out.
    """
    labels = np.asarray(labels)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(len(rows) - 1, max(1, round(fraction * len(rows)))) if fraction else 0
        held[np.random.default_rng([seed, int(label)]).permutation(rows)[:count]] = True
    return held
