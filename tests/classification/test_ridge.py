"""Ridge regression on one-hot labels: scikit-learn's answer."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from leo_tf import InputError
from leo_tf.classification.baselines import ridge


@pytest.mark.parametrize("ways,shots,dim", [(2, 3, 8), (5, 1, 8), (3, 9, 4)])
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 100.0])
def test_equals_scikit_learn(make_episode, ways, shots, dim, penalty):
    episode = make_episode(ways=ways, shots=shots, dim=dim)
    found = ridge(*episode[:2], penalty=penalty)
    for task in range(2):
        inputs = np.asarray(episode.support_x[task]).reshape(-1, dim)
        model = Ridge(penalty).fit(inputs, np.eye(ways)[np.repeat(np.arange(ways), shots)])
        np.testing.assert_allclose(found.weights[task], model.coef_, atol=1e-8)
        np.testing.assert_allclose(found.bias[task], model.intercept_, atol=1e-8)
        assert np.abs(model.coef_).max() > 1e-3


def test_penalties_that_are_not_positive_are_refused(make_episode):
    with pytest.raises(InputError, match=r"Got penalty=-1; expected a number above 0"):
        ridge(*make_episode()[:2], penalty=-1)
