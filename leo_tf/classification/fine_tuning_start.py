"""How far fine-tuning moves scaled class means before any training: the temperature of the support, and the rate.

A support example is part of its class's mean, which therefore fits it better than it fits a query: at the scale that
suits queries the support's loss is next to nothing, and so are its gradients. Logits of the support divided by a
temperature leave the steps something to do. From no steps at all to those of a logistic regression that starts at the
class means, validation tasks choose.
"""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import adaptation, objective
from leo_tf.evaluation.calibration import fit_temperature

SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)  # of the means' best scale, at which the support is judged
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # at these scales, down the loss summed over the support
_NO_COST = 5e-4  # nats


class Steps(NamedTuple):
    """What fine-tuning starts from."""

    scale: float  # of the class means
    temperature: float  # of the support's logits
    rate: float  # of the steps


def choose(parts, labels, scale, steps, biased):
    """Choose what fine-tuning starts from by the least loss of the queries after it, at its own best temperature.

    Class means at a share of their scale take steps on the support. The scale of the outcome that suits the queries is
    fitted then, and so becomes the temperature of the support: all of the path is that much longer. Where steps do not
    help, as at one shot, they may after training: the rate is the largest that costs next to nothing.

    Args:
      parts: [(support [tasks, examples, dim], labels [tasks, examples], means [tasks, ways, dim], queries [tasks,
        queries, dim])] of all tasks; means less their mean over the classes.
      labels: of the queries, [all tasks, queries].
      scale: of the means alone, that suits the queries best.
      steps: number of steps.
      biased: whether the last coordinate is a constant, whose weight is not moved.

    Returns:
      Steps.
    """

    def fitted(share, rate):
        logits = np.concatenate([_logits(part, share * scale, rate, steps, biased) for part in parts])
        temperature, loss = fit_temperature(logits, labels)
        longer = 1 / temperature
        return loss, Steps(share * scale * longer, longer, rate * longer**2)

    none = fitted(1.0, 0.0)
    found = {tried: fitted(*tried) for tried in itertools.product(SHARES, RATES)}
    best = min(found.values())
    if best[0] < none[0]:
        return best[1]
    harmless = [rate for rate in RATES if found[1.0, rate][0] < none[0] + _NO_COST]
    return found[1.0, harmless[-1]][1] if harmless else none[1]


def _logits(part, scale, rate, steps, biased):
    support_x, support_y, means, query_x = part

    def loss(weights, _):
        return tf.reduce_sum(objective.cross_entropy(tf.matmul(support_x, weights, transpose_b=True), support_y))

    rates = np.full(means.shape[-1], rate, np.float32)
    if biased:
        rates[-1] = 0
    start = tf.constant(scale * means, tf.float32)
    return tf.matmul(query_x, adaptation.descend(start, loss, rates, steps)[-1], transpose_b=True).numpy()
