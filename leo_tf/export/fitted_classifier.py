"""Classifiers adapted to one task, which predict in NumPy: without TensorFlow."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from leo_tf.errors import InputError
from leo_tf.transforms import FittedTransform, unit_length

if TYPE_CHECKING:
    from leo_tf.export.adapter import Adapter


class FittedClassifier(NamedTuple):
    """Linear classifier over features of embeddings, where asked for with a class for whatever it was not shown."""

    weights: np.ndarray  # [ways, dim] float32, or [ways, dim + 1] with the bias in the last column
    normalize: bool  # whether embeddings are scaled to unit length first
    transform: FittedTransform | None
    log_ratios: np.ndarray | None = None  # [ways, 2 dim + 1] float32, as in `classification.unknown`

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the logits [examples, ways] of embeddings [examples, dim]; of an unknown class in one more column."""
        features = embeddings
        if self.normalize:  # in float64, because the square of a float32 can exceed its range
            features = unit_length(features.astype(np.float64)).astype(np.float32)
        if self.transform is not None:
            features = self.transform.apply(features)
        dim = features.shape[1]
        scores = features @ self.weights[:, :dim].T
        if self.weights.shape[1] > dim:
            scores += self.weights[:, dim]
        if self.log_ratios is None:
            return scores
        linear, constant, quadratic = np.split(self.log_ratios, [dim, dim + 1], axis=1)
        log_odds = special.logsumexp(features @ linear.T + constant[:, 0] + features**2 @ quadratic.T, axis=1)
        unknown = special.logsumexp(scores, axis=1) - log_odds  # so that the softmax is the sigmoid of -log_odds
        return np.column_stack([scores, unknown])


def fit(
    adapter: "Adapter",
    embeddings: np.ndarray,
    labels: Any,
    unknown_class: bool = False,
    sample_weight: np.ndarray | None = None,
) -> tuple[FittedClassifier, np.ndarray]:
    """Adapt to embeddings float32 [examples, dim] with any labels [examples]; return the classifier and its classes.

    With `sample_weight` [examples], all positive, an example counts as that many.
    With `unknown_class`, which needs an adapter that has one, the last class is "unknown", or -1 where labels are
    numbers.
    """
    import tensorflow as tf

    from leo_tf.export.validation import reason_of

    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"Got examples of {len(classes)} class{'es' * (not len(classes))}; expected at least two. Add labelled "
            "examples of another class."
        )
    if embeddings.shape[1] != adapter.embedding_dim:
        raise InputError(
            f"Got embeddings of {embeddings.shape[1]} dimensions; the model expects {adapter.embedding_dim}. Use the "
            "feature extractor that it was trained with."
        )
    all_classes = _with_unknown(classes) if unknown_class else classes
    adapt, support = adapter.adapt, {"support_x": embeddings, "support_y": numbers.astype(np.int32)}
    if sample_weight is not None:
        if adapter.adapt_weighted is None:
            raise InputError(
                "sample_weight was given with a SavedModel, to which every example counts the same; expected None, or "
                "the folder of a run as the model."
            )
        adapt, support["sample_weight"] = adapter.adapt_weighted, sample_weight
    try:
        adapted = adapt(**{name: tf.constant(each[np.newaxis]) for name, each in support.items()})
    except tf.errors.InvalidArgumentError as error:
        raise InputError(reason_of(error)) from None
    weights, log_ratios = adapted["classifier"].numpy()[0], None
    if adapter.has_unknown:  # dim + 1 columns of a linear classifier, 2 dim + 1 of log-ratios
        weights, log_ratios = np.split(weights, [(weights.shape[1] + 1) // 3], axis=1)
    kept = log_ratios if unknown_class else None
    return FittedClassifier(weights, adapter.normalize, adapter.transform, kept), all_classes


def _with_unknown(classes: np.ndarray) -> np.ndarray:
    """Append the label of the unknown class to sorted labels."""
    is_text = classes.dtype.kind in "UT" or all(isinstance(each, str) for each in classes)
    if not is_text and classes.dtype.kind not in "iuf":
        raise InputError(
            f"Got labels of type {classes.dtype} with unknown_class=True; expected text or numbers; the unknown "
            "class has the label 'unknown' or -1."
        )
    label: Any = "unknown" if is_text else -1
    if label in classes:
        raise InputError(
            f"Got examples of class {label!r} with unknown_class=True, which gives this label to the unknown class. "
            "Rename the class of the examples."
        )
    return np.append(classes, np.array([label], classes.dtype if classes.dtype.kind == "O" else None))
