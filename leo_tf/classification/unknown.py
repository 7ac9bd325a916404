"""The unknown class: whether a query belongs to a class that the model was shown, or to none (open-set recognition).

PLDA has a density for an example of any other class. Its log-ratios to the densities of the shown classes are those of
`plda_log_ratios`; here they become log-odds. Features have unit length, which the densities do not know, so that a
temperature and a threshold are fitted on validation classes.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from scipy import optimize, special

_LARGEST_LOG_TEMPERATURE = 3.0


def log_ratios_of(features: tf.Tensor, log_ratios: tf.Tensor) -> tf.Tensor:
    """Return the log-ratios [tasks, queries, ways] of each shown class's density to that of any other class.

    Features are [tasks, queries, dim + 1], the last coordinate 1; `log_ratios` [tasks, ways, 2 dim + 1] are the
    coefficients of x, of 1 and of x^2.
    """
    return tf.matmul(tf.concat([features, features[..., :-1] ** 2], axis=-1), log_ratios, transpose_b=True)


def shown_log_odds(features: tf.Tensor, log_ratios: tf.Tensor) -> tf.Tensor:
    """Return the log-odds [tasks, queries] that a query belongs to a shown class; arguments as in `log_ratios_of`."""
    return tf.reduce_logsumexp(log_ratios_of(features, log_ratios), axis=-1)


def calibrated_log_ratios(log_ratios: tf.Tensor, temperature: Any, threshold: Any) -> tf.Tensor:
    """Return the coefficients with which `shown_log_odds` are calibrated.

    The temperature divides the log-ratios, the threshold is subtracted from the log-odds. They assume that a query is
    as likely to be of a shown class, equally likely of each of them, as of any other class.
    """
    ways, columns = tf.unstack(tf.shape(log_ratios)[1:])
    constant = tf.one_hot(columns // 2, columns, dtype=log_ratios.dtype)
    return log_ratios / temperature - (tf.math.log(tf.cast(ways, log_ratios.dtype)) + threshold) * constant


def fit_unknown(*answers: tuple[Any, Any]) -> tuple[float, float]:
    """Return the temperature and threshold of least loss in telling shown from other classes, half of the queries each.

    Answers are pairs of log-ratios [queries, ways] and of whether the query's class was shown [queries], one for each
    number of ways; the loss is the mean of theirs.
    """
    wide = [(np.asarray(ratios, np.float64), np.asarray(shown)) for ratios, shown in answers]

    def loss(values: np.ndarray) -> float:
        log_temperature, threshold = np.clip(values[0], -_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE), values[1]
        losses = []
        for ratios, shown in wide:
            odds = special.logsumexp(ratios / np.exp(log_temperature), axis=-1) - np.log(ratios.shape[-1]) - threshold
            losses += [special.log_expit(odds[shown]).mean(), special.log_expit(-odds[~shown]).mean()]
        return -float(np.mean(losses))

    start = np.mean([special.logsumexp(ratios, axis=-1).mean() - np.log(ratios.shape[-1]) for ratios, _ in wide])
    simplex = [[0.0, start], [0.5, start], [0.0, start + 2.0]]
    found = optimize.minimize(loss, simplex[0], method="Nelder-Mead", options={"initial_simplex": simplex})
    return float(np.exp(np.clip(found.x[0], -_LARGEST_LOG_TEMPERATURE, _LARGEST_LOG_TEMPERATURE))), float(found.x[1])
