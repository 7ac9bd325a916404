"""Truncated normal numbers against SciPy's, in the middle and far out, and against plain integration where flat."""

import numpy as np
import pytest
from scipy import integrate, stats

from leo_tf.regression.baselines.truncated_normal import truncated_normal


@pytest.mark.parametrize("centre", [-40.0, -3.5, 0.0, 2.0, 5.2, 60.0])
@pytest.mark.parametrize("stddev", [0.1, 1.0, 30.0])
def test_equals_scipy(centre, stddev):
    ours = truncated_normal(np.array(1 / stddev**2), np.array(centre / stddev**2), -3.0, 5.0)
    theirs = stats.truncnorm((-3 - centre) / stddev, (5 - centre) / stddev, centre, stddev)
    probabilities = np.array([0.0, 1e-6, 0.3, 0.5, 0.9, 1 - 1e-6])
    np.testing.assert_allclose(ours.quantile(probabilities), theirs.ppf(probabilities), atol=1e-6)
    if abs(centre) < 10 or stddev > 0.1:  # beyond, SciPy's own mean has rounding errors
        assert ours.mean() == pytest.approx(theirs.mean(), abs=1e-6)


@pytest.mark.parametrize("precision,linear", [(0.0, 0.0), (1e-9, -1e-5), (0.3, 2.0), (50.0, -300.0), (4.0, 0.1)])
def test_equals_numerical_integration(precision, linear):
    def density(z):
        return np.exp(linear * z - 0.5 * precision * z**2)

    ours = truncated_normal(np.array(precision), np.array(linear), 0.1, 5.0)
    integral = integrate.quad(density, 0.1, 5.0, epsabs=0)[0]
    assert ours.log_integral() == pytest.approx(np.log(integral), abs=1e-6)
    mean = integrate.quad(lambda z: z * density(z), 0.1, 5.0, epsabs=0)[0] / integral
    assert ours.mean() == pytest.approx(mean, abs=1e-6)
