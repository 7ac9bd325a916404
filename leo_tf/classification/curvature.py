"""Curvature of the support loss of a linear softmax classifier, exact and without its Hessian (paper section 4.6).

The Hessian of the cross-entropy summed over examples x is H = sum over x of (diag(p) - p p^T) kron x x^T. With
A = (I - p 1^T) diag(sqrt(p)), diag(p) - p p^T is A A^T, so that H = M M^T for M = [A_x kron x], and its non-zero
eigenvalues are those of M^T M, which has a row for every example and class: 25 of them in 5-way 1-shot tasks, where H
has 3,200. A classifier whose weights are K z for a linear decoder K has logits (K^T x) . z, so the same holds in its
codes with inputs K^T x.
"""

from typing import Any

import numpy as np
from scipy import special


def spectrum(logits: Any, inputs: Any) -> np.ndarray:
    """Return the eigenvalues, those not zero by rank, of the Hessian of the summed cross-entropy in the weights.

    The examples have logits [tasks, examples, ways]; the weights [ways, n] multiply inputs [tasks, examples, n]:
    embeddings, or for the Hessian in the codes their `StochasticDecoder.project`. Eigenvalues are float64
    [tasks, min(examples, n) * ways], ascending; rounding may leave tiny negative ones.
    """
    inputs = np.asarray(inputs, np.float64)
    probabilities = special.softmax(np.asarray(logits, np.float64), axis=-1)
    tasks, examples, ways = probabilities.shape
    roots = np.sqrt(probabilities)[:, :, np.newaxis]  # of the columns
    factors = np.eye(ways) * roots - probabilities[..., np.newaxis] * roots
    if examples <= inputs.shape[2]:
        gram = inputs @ np.swapaxes(inputs, 1, 2)
        matrices = np.einsum("txai,tyaj,txy->txiyj", factors, factors, gram, optimize=True)
    else:
        classes = np.einsum("txai,txbi->txab", factors, factors)
        matrices = np.einsum("txab,txm,txn->tambn", classes, inputs, inputs, optimize=True)
    side = matrices.shape[1] * matrices.shape[2]
    return np.linalg.eigvalsh(matrices.reshape(tasks, side, side))
