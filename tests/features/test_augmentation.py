"""Augmentation depends on the number of the example alone, stays in range, and does what it says."""

import numpy as np
import pytest
import tensorflow as tf
from drawn_images import picture

from leo_tf.features.augmentation import augment, draw, rotate_quarters, sample_bilinear

SQUARES = np.stack([picture(label, 0, 20) for label in range(6)])


@pytest.mark.parametrize("kind", ["photo", "drawing"])
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_does_not_depend_on_the_batch(kind, channels):
    squares = tf.constant(SQUARES[..., :channels])
    whole = augment(squares, kind, 16, draw(5, 100, 6)).numpy()
    part = augment(squares[2:5], kind, 16, draw(5, 102, 3)).numpy()
    assert whole.shape == (6, 16, 16, channels) and whole.dtype == np.float32
    np.testing.assert_allclose(whole[2:5], part, atol=1e-3)
    assert whole.min() >= 0 and whole.max() <= 255
    assert np.abs(whole - augment(squares, kind, 16, draw(5, 106, 6)).numpy()).mean() > 1
    assert np.abs(whole - augment(squares, kind, 16, draw(6, 100, 6)).numpy()).mean() > 1


def test_no_augmentation_is_the_centre_crop():
    got = augment(tf.constant(SQUARES), "none", 16, draw(0, 0, 6)).numpy()
    np.testing.assert_array_equal(got, SQUARES[:, 2:18, 2:18])


def test_drawings_move_slightly():
    """A dot in the middle stays near it, and pixels from beyond the edge are white."""
    dot = np.full((64, 41, 41, 1), 255, np.uint8)
    dot[:, 17:24, 17:24] = 0
    got = augment(tf.constant(dot), "drawing", 41, draw(0, 0, 64)).numpy()[..., 0]
    ink = 255 - got
    places = np.stack([np.einsum("nij,i->n", ink, np.arange(41)), np.einsum("nij,j->n", ink, np.arange(41))])
    places /= ink.sum(axis=(1, 2))
    shift = np.abs(places - 20)
    assert shift.mean() > 0.5 and shift.max() < 10
    assert np.all(got[:, 0, 0] > 254)


def test_sampling_at_the_pixels_positions_changes_nothing():
    line = tf.linspace(-1.0, 1.0, 20)
    y, x = (grid[tf.newaxis] for grid in tf.meshgrid(line, line, indexing="ij"))
    pixels = tf.constant(SQUARES[:1], tf.float32)
    np.testing.assert_allclose(sample_bilinear(pixels, x, y), pixels, atol=1e-2)
    np.testing.assert_allclose(sample_bilinear(pixels, x + 5, y), 255.0)
    halfway = sample_bilinear(pixels, x + 1.0 / 19, y).numpy()[:, :, :-1]
    np.testing.assert_allclose(halfway, (pixels[:, :, :-1] + pixels[:, :, 1:]) / 2, atol=1e-2)


def test_rotation_by_quarters():
    got = rotate_quarters(tf.constant(SQUARES[:4]), tf.range(4)).numpy()
    for quarters in range(4):
        np.testing.assert_array_equal(got[quarters], np.rot90(SQUARES[quarters], quarters))
