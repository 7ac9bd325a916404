"""Choose the initial fine-tuning rate and support temperature of a ProtoLEO on validation tasks.

A support example is part of its class's prototype, which therefore fits it better than it fits a query: at the scale
that suits queries, the support's loss is next to nothing, and so are its gradients. Dividing the support's logits by a
temperature leaves the steps something to do.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import special

from leo_tf.evaluation.calibration import fit_temperature

SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)  # of the best scale of the prototypes, for the support's logits
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # at these scales, for the loss summed over the support
BIAS_SHARES = (0.0, 1.0)  # of these, the rates of a bias
_NO_COST = 5e-4  # nats


class Products(NamedTuple):
    """Inner products that gradient steps on the support need; gram and cross are without the bias's constant."""

    gram: np.ndarray  # [tasks, support, support]
    cross: np.ndarray  # [tasks, queries, support]
    support: np.ndarray  # [tasks, support, ways], logits under the prototypes
    queries: np.ndarray  # [tasks, queries, ways], logits under the prototypes
    labels: np.ndarray  # [tasks, support]


def products(
    support_x: np.ndarray, labels: np.ndarray, prototypes: np.ndarray, query_x: np.ndarray, has_bias: bool
) -> Products:
    """Return the Products of features [tasks, examples, dim]; with a bias, the last coordinate is a constant."""
    moving_support = support_x[..., :-1] if has_bias else support_x
    moving_queries = query_x[..., :-1] if has_bias else query_x
    columns, classes = moving_support.transpose(0, 2, 1), prototypes.transpose(0, 2, 1)
    return Products(moving_support @ columns, moving_queries @ columns, support_x @ classes, query_x @ classes, labels)


def fine_tuned(given: Products, scale: float, rate: float, bias_share: float, steps: int) -> np.ndarray:
    """Return the logits of the queries [tasks, queries, ways] after steps from prototypes of this scale.

    `rate` is for the cross-entropy summed over the support; the rate of the bias is `bias_share` of it.
    """
    ways = given.support.shape[-1]
    targets, along = np.eye(ways, dtype=np.float32)[given.labels], np.zeros_like(given.support)
    for _ in range(steps):
        logits = scale * given.support + given.gram @ along + bias_share * along.sum(axis=1, keepdims=True)
        along -= rate * (special.softmax(logits, axis=-1) - targets)
    return scale * given.queries + given.cross @ along + bias_share * along.sum(axis=1, keepdims=True)


class Steps(NamedTuple):
    """Initial values of fine-tuning."""

    scale: float  # of the prototypes
    temperature: float  # of the support's logits
    rate: float  # of the steps
    bias_share: float  # the rate of a bias, as a share of this rate


def choose(
    given: Products, labels: np.ndarray, scale: float, steps: int, has_bias: bool, fixed_scale: float | None = None
) -> Steps:
    """Choose the initial values of fine-tuning by the least loss of the queries after it.

    Each candidate starts from prototypes at a share of `scale`, which is the best one without fine-tuning, and takes
    steps on the support. A factor of the resulting logits is then fitted to the queries. Multiplying the scale by it,
    the rate by its square, and dividing the support's logits by it gives the same steps at the scale that suits the
    queries. If no candidate beats no fine-tuning, as with one shot, the rate is the largest that costs next to nothing,
    because fine-tuning may help after meta-training. `labels` are those of the queries; with `fixed_scale` the
    prototypes' scale is not chosen.
    """

    def fitted(share: float, rate: float, bias_share: float) -> tuple[float, Steps]:
        temperature, loss = fit_temperature(fine_tuned(given, share * scale, rate, bias_share, steps), labels)
        longer = 1 / temperature if fixed_scale is None else fixed_scale / (share * scale)
        return loss, Steps(share * scale * longer, longer, rate * longer**2, bias_share)

    none = fitted(1.0, 0.0, 0.0)
    bias_shares = BIAS_SHARES if has_bias else (0.0,)
    found = {tried: fitted(*tried) for tried in itertools.product(SHARES, RATES, bias_shares)}
    best = min(found.values())
    if best[0] < none[0]:
        return best[1]
    harmless = [rate for rate in RATES if found[1.0, rate, 0.0][0] < none[0] + _NO_COST]
    return found[1.0, harmless[-1], 0.0][1] if harmless else none[1]
