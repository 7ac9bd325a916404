"""How far fine-tuning moves scaled class means before any training: temperature of the support, rates.

A support example is part of its class's mean, which therefore fits it better than it fits a query: at the scale that
suits queries the support's loss is next to nothing, and so are its gradients. Logits of the support divided by a
temperature leave the steps something to do. From no steps at all to those of a logistic regression that starts at the
class means, validation tasks choose.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import special

from leo_tf.evaluation.calibration import fit_temperature

SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)  # of the means' best scale, at which the support is judged
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # at these scales, down the loss summed over the support
BIAS_SHARES = (0.0, 1.0)  # of these, the rates of a bias
_NO_COST = 5e-4  # nats


class Products(NamedTuple):
    """All that gradient steps on the support need: they stay in its span, and each moves every class along it.

    Where a constant has joined the embeddings, for a bias, gram and cross are without it.
    """

    gram: np.ndarray  # [tasks, support, support], of the support with itself
    cross: np.ndarray  # [tasks, queries, support], of the queries with it
    support: np.ndarray  # [tasks, support, ways], logits under the class means
    queries: np.ndarray  # [tasks, queries, ways], the same
    labels: np.ndarray  # [tasks, support]


def products(support_x, labels, means, query_x, biased):
    """Return the Products of tasks.

    Args:
      support_x: [tasks, support, dim].
      labels: [tasks, support].
      means: of the classes, less their mean over the classes, [tasks, ways, dim].
      query_x: [tasks, queries, dim].
      biased: whether the last coordinate is a constant.
    """
    moved = support_x[..., :-1] if biased else support_x
    moved_queries = query_x[..., :-1] if biased else query_x
    columns, of_classes = moved.transpose(0, 2, 1), means.transpose(0, 2, 1)
    return Products(moved @ columns, moved_queries @ columns, support_x @ of_classes, query_x @ of_classes, labels)


def fine_tuned(given, scale, rate, bias_share, steps):
    """Return the logits of the queries [tasks, queries, ways] after gradient steps on the support.

    Args:
      given: Products.
      scale: of the class means that the steps start from.
      rate: of the steps, down the cross-entropy summed over the support.
      bias_share: the rate of the bias, as a share of this one.
      steps: number of them.
    """
    ways = given.support.shape[-1]
    targets, along = np.eye(ways, dtype=np.float32)[given.labels], np.zeros_like(given.support)
    for _ in range(steps):
        logits = scale * given.support + given.gram @ along + bias_share * along.sum(axis=1, keepdims=True)
        along -= rate * (special.softmax(logits, axis=-1) - targets)
    return scale * given.queries + given.cross @ along + bias_share * along.sum(axis=1, keepdims=True)


class Steps(NamedTuple):
    """What fine-tuning starts from."""

    scale: float  # of the class means
    temperature: float  # of the support's logits
    rate: float  # of the steps
    bias_share: float  # of this rate, that of a bias


def choose(given, labels, scale, steps, biased):
    """Choose what fine-tuning starts from by the least loss of the queries after it, at its own best temperature.

    Class means at a share of their scale take steps on the support. The scale of the outcome that suits the queries is
    fitted then, and so becomes the temperature of the support: all of the path is that much longer. Where steps do not
    help, as at one shot, they may after training: the rate is the largest that costs next to nothing.

    Args:
      given: Products of the tasks.
      labels: of the queries, [tasks, queries].
      scale: of the means alone, that suits the queries best.
      steps: number of steps.
      biased: whether there is a bias, whose rate is to be chosen too.

    Returns:
      Steps.
    """

    def fitted(share, rate, bias_share):
        temperature, loss = fit_temperature(fine_tuned(given, share * scale, rate, bias_share, steps), labels)
        longer = 1 / temperature
        return loss, Steps(share * scale * longer, longer, rate * longer**2, bias_share)

    none = fitted(1.0, 0.0, 0.0)
    bias_shares = BIAS_SHARES if biased else (0.0,)
    found = {tried: fitted(*tried) for tried in itertools.product(SHARES, RATES, bias_shares)}
    best = min(found.values())
    if best[0] < none[0]:
        return best[1]
    harmless = [rate for rate in RATES if found[1.0, rate, 0.0][0] < none[0] + _NO_COST]
    return found[1.0, harmless[-1], 0.0][1] if harmless else none[1]
