"""The images of a step are a function of (seed, step); copies of classes are additional classes."""

import numpy as np
import pytest
import tensorflow as tf
from drawn_images import picture

from leo_tf.features.images import Preprocessing
from leo_tf.features.pretrain.batches import Batches, copied, hold_out
from leo_tf.features.settings import FeatureTrainingConfig

SQUARES = np.stack([picture(label, n, 12) for label in range(5) for n in range(3)])
LABELS = np.repeat(np.arange(5), 3)


def batches(**training):
    training = FeatureTrainingConfig(**({"batch_size": 4, "augmentation": "photo"} | training))
    return Batches(SQUARES, LABELS, 5, training, Preprocessing(12, 8))


def test_an_epoch_has_every_image_once():
    made = batches(class_copies="rotations")
    assert len(made) == 60 and made.num_classes == 20
    seen = [tuple(pair) for step in range(15) for pair in zip(*made.rows(step), strict=True)]
    assert len(set(seen)) == 60
    again = [tuple(pair) for step in range(15, 30) for pair in zip(*made.rows(step), strict=True)]
    assert set(again) == set(seen) and again != seen


def test_a_batch_may_span_two_epochs():
    made = batches()  # 15 images, 4 per step
    rows = np.concatenate([made.rows(step)[0] for step in range(15)])
    for first in range(0, 60, 15):
        assert sorted(rows[first : first + 15]) == list(range(15))


def test_dataset_is_the_same_from_any_step_on():
    made, other = batches(seed=1), batches(seed=2)
    whole = list(made.dataset(0).take(4))
    late = list(made.dataset(2).take(2))
    for (images, labels, first), (images2, labels2, first2) in zip(whole[2:], late, strict=True):
        np.testing.assert_array_equal(images, images2)
        np.testing.assert_array_equal(labels, labels2)
        assert first.numpy() == first2.numpy()
    assert [int(first) for _, _, first in whole] == [0, 4, 8, 12]
    assert not np.array_equal(whole[0][0], next(iter(other.dataset(0)))[0])


@pytest.mark.parametrize("kind", ["rotations", "rotations_and_mirrored"])
def test_copies_are_rotated_and_mirrored(kind):
    made = batches(class_copies=kind, batch_size=15, augmentation="none")
    for step in range(3):
        rows, copies = made.rows(step)
        squares, labels = made.read(step)
        for row, copy, square, label in zip(rows, copies, squares, labels, strict=True):
            expected = np.rot90(SQUARES[row], copy % 4)
            np.testing.assert_array_equal(square, expected[:, ::-1] if copy >= 4 else expected)
            assert label == LABELS[row] + 5 * copy
    eight = copied(np.repeat(SQUARES[:1], 8, axis=0), np.arange(8))
    assert len({square.tobytes() for square in eight}) == 8


def test_some_but_not_all_images_of_every_class_are_held_out():
    labels = np.array([0] * 10 + [1] * 1 + [2] * 3)
    held = hold_out(labels, 0.2, seed=0)
    assert [int(held[labels == label].sum()) for label in range(3)] == [2, 0, 1]
    np.testing.assert_array_equal(held, hold_out(labels, 0.2, seed=0))
    assert not hold_out(labels, 0.0, seed=0).any()
    assert tf.executing_eagerly()
