"""Interpolation between numbers of shots."""

import numpy as np
import tensorflow as tf

from leo_tf.classification.by_shots import interpolate_by_shots


def test_it_is_linear_in_the_logarithm_of_the_shots_and_constant_outside():
    counts, shots, values = np.array([0.5, 1, 2.5, 5, 9, 20, 300]), [1, 5, 20], [3.0, -1.0, 4.0]
    expected = np.interp(np.log(counts), np.log(shots), values)
    np.testing.assert_allclose(interpolate_by_shots(tf.constant(counts), shots, values), expected, rtol=1e-12)
    np.testing.assert_array_equal(interpolate_by_shots(tf.constant([[2.0], [7.0]]), [3], [0.25]), [[0.25], [0.25]])
