"""The batches of pre-training: a function of (seed, step) alone, so that a resumed run sees the same ones."""

import functools

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.features.augmentation import augment, draw
from leo_tf.features.images import Preprocessing
from leo_tf.features.settings import FeatureTrainingConfig

COPIES = {"none": 1, "rotations": 4, "rotations_and_mirrored": 8}


class Batches:
    """Batches of augmented images.

    A copy of a class, with all images rotated or mirrored, is another class: copy k of class c of n is k * n + c.
    squares are uint8 [images, side, side, channels], perhaps memory-mapped; labels int [images].
    """

    def __init__(
        self,
        squares: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        training: FeatureTrainingConfig,
        preprocessing: Preprocessing,
    ) -> None:
        self._squares, self._labels = squares, np.asarray(labels, np.int32)
        self._training, self._preprocessing = training, preprocessing
        self._copies = COPIES[training.class_copies]
        self._base_classes = num_classes
        self.num_classes = num_classes * self._copies
        self._order = functools.lru_cache(maxsize=2)(self._permutation)

    def __len__(self) -> int:
        return len(self._labels) * self._copies

    def rows(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows [batch], copies [batch]) of a step; an epoch has every copy of every image once."""
        size = self._training.batch_size
        examples = np.arange(step * size, (step + 1) * size)
        epochs, positions = np.divmod(examples, len(self))
        chosen = np.empty(size, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            chosen[here] = self._order(int(epoch))[positions[here]]
        copies, rows = np.divmod(chosen, len(self._labels))
        return rows, copies

    def read(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return squares uint8 [batch, side, side, channels] and labels int32 [batch] of a step."""
        rows, copies = self.rows(step)
        labels = self._labels[rows] + (copies * self._base_classes).astype(np.int32)
        return copied(self._squares[rows], copies), labels

    def dataset(self, first_step: int) -> tf.data.Dataset:
        """Return all batches from a step on: (normalised images, labels int32 [batch], number of the first example)."""
        side, channels = self._squares.shape[1], self._squares.shape[3]
        size, training, scaled = self._training.batch_size, self._training, self._preprocessing.scaled

        def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            squares, labels = tf.numpy_function(self.read, [step], [tf.uint8, tf.int32])
            squares, labels = tf.ensure_shape(squares, [size, side, side, channels]), tf.ensure_shape(labels, [size])
            first = step * size
            draws = draw(training.seed, first, size)
            images = augment(squares, training.augmentation, self._preprocessing.image_size, draws)
            return scaled(images), labels, first

        steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
        return steps.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _permutation(self, epoch: int) -> np.ndarray:
        generator = np.random.Generator(np.random.Philox(key=[self._training.seed, randomness.IMAGE_ORDER + epoch]))
        return generator.permutation(len(self))


def copied(squares: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Return squares [n, side, side, channels] rotated by copies % 4 quarters, and mirrored where copies [n] >= 4."""
    squares = np.array(squares)
    for copy in np.unique(copies):
        if copy:
            here = copies == copy
            rotated = np.rot90(squares[here], copy % 4, axes=(1, 2))
            squares[here] = rotated[:, :, ::-1] if copy >= 4 else rotated
    return squares


def hold_out(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose the images of each class that are held out of training, at least one and never all; bool [images]."""
    labels = np.asarray(labels)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(len(rows) - 1, max(1, round(fraction * len(rows)))) if fraction else 0
        held[np.random.default_rng([seed, int(label)]).permutation(rows)[:count]] = True
    return held
