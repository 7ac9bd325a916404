"""Meta-learners for classification: adapt a linear classifier to a support set, measured by accuracy on queries."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import objective, randomness
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.learners.meta_learner import AdaptationOutput, MetaLearner, noise_seed
from leo_tf.problem import Initialization


class MetaLossOutput(NamedTuple):
    """Terms of the meta-objective on one meta-batch; the outer loop minimises `loss`.

    Example:
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "train")
      >>> episode = leo_tf.EpisodeSampler(table, 5, 1, 3).sample(seed=0, first_task=0, num_tasks=2)
      >>> outcome = leo_tf.LEO(embedding_dim=table.dim, seed=0).meta_loss(episode, training=True, seed=0)
      >>> outcome.loss.shape, outcome.accuracy.shape
      (TensorShape([]), TensorShape([2]))
    """

    loss: tf.Tensor  # scalar: mean over tasks of query loss and weighted penalties, plus regularization
    query_loss: tf.Tensor  # [tasks], nats
    accuracy: tf.Tensor  # [tasks], fraction of queries
    kl: tf.Tensor  # [tasks], nats per latent dimension
    encoder_penalty: tf.Tensor  # [tasks]
    regularization: tf.Tensor  # scalar


class NoiseSpec(NamedTuple):
    """Amount of noise that a stochastic pass over one task takes."""

    num_latents: int  # 0: nothing is sampled
    codes_per_class: int
    decodes: int  # number of times that codes are decoded
    steps: int  # number of inner losses, each with its own dropout mask
    dropout_rate: float


RandomBits = tuple[tf.Tensor | None, tf.Tensor | None]  # of normals and masks, uint16 and uint8 [tasks, numbers]


class Noise(NamedTuple):
    """Standard normal numbers and dropout masks (True keeps) of one meta-batch.

    The normal fields are None if the model is not stochastic, the masks if there is no dropout. All are drawn ahead, so
    that the model is a pure function of them, compiles with XLA, and can be tested with noise written by hand.
    """

    latents: Any  # [tasks, ways, codes per class, num_latents]
    weights: Any  # [tasks, latent steps + 1, ways, codes per class, dim]: one for each decode
    support_masks: Any  # [tasks, 1 + latent and fine-tuning steps, ways, shots, dim]: encoder, then losses
    query_mask: Any  # [tasks, ways, queries, dim]

    def support_mask(self, use: int) -> tf.Tensor | None:
        """Return the mask of the support's use number `use` (0: encoder, 1 + step: inner losses), or None."""
        return None if self.support_masks is None else self.support_masks[:, use]


class ClassificationLearner(MetaLearner):
    """A model, of a LEOConfig or MAMLConfig, that adapts a linear classifier over fixed embeddings to N-way tasks.

    `adapt`, `adapt_imbalanced`, `classify`, `call` and `evaluate` take embeddings as a table holds them. Inside, the
    model works on features: what `features` makes of embeddings, by default the embeddings themselves. Classes of an
    Episode are in the order of their labels.
    """

    episode_type, outcome_type, metric_name = Episode, MetaLossOutput, "accuracy"

    needs_ways = False  # whether the constructor takes `ways`, the only number that it adapts to
    learns_features = False  # whether meta-training changes what `features` computes
    feature_transform: Any = None  # the layer that `features` applies, where there is one; with `fitted`, in NumPy

    def __init__(self, config: Any, embedding_dim: int, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        if self.config.inner_gradient_norm_threshold:
            # It would clip differently in training, with K codes per class, than in evaluation, with one.
            raise InputError(
                f"inner_gradient_norm_threshold={self.config.inner_gradient_norm_threshold} was given for "
                "classification; expected 0: only regression clips inner gradients.",
                "inner_gradient_norm_threshold",
            )
        self.embedding_dim = embedding_dim
        self._compiled_adapt: Any = None

    def __repr__(self) -> str:
        steps = " + ".join(map(str, self.inner_steps))
        size = sum(int(np.prod(variable.shape)) for variable in self.meta_variables)
        return f"<{self.algorithm} for embeddings of {self.embedding_dim}, {steps} inner steps, {size:,} parameters>"

    @property
    def feature_dim(self) -> int:
        """Dimensions of a feature, and of a class's weights; the constant of a bias included."""
        return self.embedding_dim

    def features(self, embeddings: Any) -> Any:
        """Turn embeddings [..., embedding_dim] into features [..., feature_dim]."""
        return embeddings

    def feature_table(self, table: Any) -> Any:
        """Return an EmbeddingTable with features in place of embeddings."""
        return table

    def training_table(self, table: Any) -> Any:
        """Return an EmbeddingTable of what `episode_features` makes of embeddings, for meta-training."""
        return self.feature_table(table)

    def initialize(self, data: Any, previous: Initialization | None = None) -> Initialization:
        """Fit the model to InitializationData and choose its "auto" settings, unless `previous` has chosen them."""
        return Initialization()

    def episode_features(self, episode: Episode) -> Episode:
        return episode._replace(support_x=self.features(episode.support_x), query_x=self.features(episode.query_x))

    def noise_spec(self, shots: int) -> NoiseSpec:
        """Return the NoiseSpec of a pass over tasks of `shots` support examples per class."""
        raise NotImplementedError

    def require_ways(self, ways: int) -> None:
        """Raise InputError if the model cannot adapt to tasks of this many classes."""
        if self.fixed_ways not in (None, ways):
            raise InputError(
                f"{self.algorithm}'s weights are those of {self.fixed_ways} classes; got tasks of {ways}. "
                f"Give {self.fixed_ways}-way tasks (num_classes={self.fixed_ways}), or train another model.",
                "num_classes",
            )

    def draw_bits(self, episode: Episode, seed: Any, first_task: Any = 0) -> RandomBits:
        def draw(shapes: list[tuple[int, ...]], dtype: tf.DType) -> tf.Tensor:
            count = sum(map(math.prod, shapes))
            return randomness.bits(noise_seed(seed), first_task, episode.support_x.shape[0], count, dtype)

        spec = self.noise_spec(episode.support_x.shape[2])
        normals, masks = _noise_shapes(spec, episode)
        of_normals = draw(normals, tf.uint16) if spec.num_latents else None
        return of_normals, draw(masks, tf.uint8) if spec.dropout_rate else None

    def noise_from_bits(self, episode: Episode, bits: RandomBits) -> Noise:
        spec = self.noise_spec(episode.support_x.shape[2])
        normals, masks = (_split(*each) for each in zip(bits, _noise_shapes(spec, episode), strict=True))
        return Noise(
            *(part if part is None else randomness.normal(part, episode.support_x.dtype) for part in normals),
            *(part if part is None else randomness.keep_mask(part, spec.dropout_rate) for part in masks),
        )

    def query_metrics(self, episode: Episode, adapted: AdaptationOutput, noise: Noise | None) -> dict[str, tf.Tensor]:
        logits = self.logits(join_examples(self.training_queries(episode.query_x, noise)), adapted.parameters)
        labels = join_examples(episode.query_y)
        return {
            "query_loss": tf.reduce_mean(objective.cross_entropy(logits, labels), axis=1),
            "accuracy": objective.accuracy(logits, labels),
        }

    def training_queries(self, query_x: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        """Return the queries [tasks, ways, queries, dim] after dropout; without noise there is none."""
        return query_x if noise is None else dropout(query_x, noise.query_mask, self.config.dropout_rate)

    def support_logits(self, logits: tf.Tensor) -> tf.Tensor:
        """Return the logits of the support as the inner losses use them; unchanged by default."""
        return logits

    def support_loss(self, support: Callable[[int], tf.Tensor], labels: tf.Tensor) -> Callable:
        """Return the function (classifier, step) -> cross-entropy summed over tasks and support (paper equation 5).

        `support` maps a step to features [tasks, ways, shots, dim]; labels are [tasks, ways, shots].
        """
        labels = join_examples(labels)

        def loss(classifier: tf.Tensor, step: int) -> tf.Tensor:
            logits = self.support_logits(self.logits(join_examples(support(step)), classifier))
            return tf.reduce_sum(objective.cross_entropy(logits, labels))

        return loss

    def adapt(self, support_x: Any, support_y: Any) -> tf.Tensor:
        """Adapt to support sets, deterministically.

        Args:
          support_x: embeddings [tasks, ways, shots, embedding_dim].
          support_y: labels [tasks, ways, shots] int, each of 0..ways-1 for `shots` examples of every task, in any
            order.

        Returns:
          Classifier [tasks, ways, dim]; class n in row n. Where the learner `has_bias`, [tasks, ways, dim + 1] with the
          bias in the last column.

        Raises:
          InputError: wrong rank or dim, other labels, or an embedding that is not finite. Values are checked in eager
            code only.
        """
        support_x, support_y = tf.convert_to_tensor(support_x, self.compute_dtype), tf.convert_to_tensor(support_y)
        if support_x.shape.rank != 4 or support_x.shape[-1] != self.embedding_dim:
            missing = " One task alone: support_x[np.newaxis], support_y[np.newaxis]." * (support_x.shape.rank == 3)
            raise InputError(
                f"support_x has shape {tuple(support_x.shape)}; expected [tasks, ways, shots, {self.embedding_dim}]."
                f"{missing}"
            )
        if not support_y.dtype.is_integer or support_y.shape.rank != 3:
            raise InputError(
                f"support_y has shape {tuple(support_y.shape)} and dtype {support_y.dtype.name}; expected integers "
                "[tasks, ways, shots]."
            )
        if not tf.executing_eagerly():
            return self._adapt_in_label_order(support_x, support_y)
        _require_balanced(support_x.numpy(), support_y.numpy())
        if self._compiled_adapt is None:
            self._compiled_adapt = tf.function(self._adapt_in_label_order, autograph=False)  # a graph for each shape
        return self._compiled_adapt(support_x, support_y)

    def _adapt_in_label_order(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        order = tf.argsort(join_examples(support_y), stable=True)
        x, y = (tf.gather(join_examples(part), order, batch_dims=1) for part in (support_x, support_y))
        features = self.features(tf.reshape(x, tf.shape(support_x)))
        return self.adapt_in_evaluation(features, tf.reshape(tf.cast(y, tf.int32), tf.shape(support_y)))

    def adapt_imbalanced(self, support_x: Any, support_y: Any, ways: Any = None) -> tf.Tensor:
        """Adapt, deterministically, to support sets given as lists: any order, any number of examples per class.

        Differs from the paper, which has K examples of every class: where `adapt` averages over K shots, every class is
        averaged over its own examples, and the inner loss is the sum over classes of their mean cross-entropy. So a
        class does not weigh more by having more examples, repeating all examples of a class changes nothing, and with
        equal numbers the result is that of `adapt`.

        Args:
          support_x: embeddings [tasks, examples, embedding_dim].
          support_y: labels [tasks, examples] int, 0..ways-1; every class needs an example in every task. Not checked.
          ways: int or scalar tensor; by default one more than the highest label, or the learner's `fixed_ways`.

        Returns:
          Classifier as `adapt`'s.
        """
        support_x = self.features(tf.convert_to_tensor(support_x, self.compute_dtype))
        labels = tf.cast(support_y, tf.int32)
        if ways is None:
            ways = self.fixed_ways or tf.reduce_max(labels) + 1
        return self.adapt_imbalanced_features(support_x, labels, ways)

    def adapt_imbalanced_features(self, support_x: tf.Tensor, support_y: tf.Tensor, ways: Any) -> tf.Tensor:
        """Adapt as `adapt_imbalanced`, to features [tasks, examples, dim]; an example of label -1 counts as absent."""
        raise NotImplementedError

    def logits(self, features: tf.Tensor, classifier: tf.Tensor) -> tf.Tensor:
        """Return logits [tasks, queries, ways] of features [tasks, queries, dim]; classifier [tasks, ways, dim]."""
        return tf.matmul(features, classifier, transpose_b=True)

    def classify(self, query_x: Any, classifier: tf.Tensor) -> tf.Tensor:
        """Return the logits [tasks, queries, ways] of query embeddings [tasks, queries, embedding_dim]."""
        return self.logits(self.features(tf.convert_to_tensor(query_x, classifier.dtype)), classifier)

    def call(self, episode: Any) -> tf.Tensor:
        """Adapt to an episode's support and return the logits of its queries, [tasks, ways * queries, ways]."""
        episode = Episode(*episode)
        return self.classify(join_examples(episode.query_x), self.adapt(episode.support_x, episode.support_y))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "embedding_dim": self.embedding_dim}


def join_examples(tensor: tf.Tensor) -> tf.Tensor:
    """Join the axes of classes and examples: [tasks, ways, n, ...] -> [tasks, ways * n, ...]."""
    shape = tf.shape(tensor)
    return tf.reshape(tensor, tf.concat([shape[:1], [shape[1] * shape[2]], shape[3:]], axis=0))


def dropout(inputs: tf.Tensor, mask: tf.Tensor | None, rate: float) -> tf.Tensor:
    """Zero the dropped elements and scale the kept ones by the exact inverse of the keep probability.

    `mask` is True where an element is kept, and was drawn with `rate`; None changes nothing.
    """
    if mask is None:
        return inputs
    return tf.where(mask, inputs * (1.0 / randomness.keep_probability(rate)), 0.0)


def _split(bits: tf.Tensor | None, shapes: list[tuple[int, ...]]) -> list[Any]:
    if bits is None:
        return [None] * len(shapes)
    parts = tf.split(bits, [math.prod(shape) for shape in shapes], axis=1)
    return [tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, shapes, strict=True)]


def _noise_shapes(spec: NoiseSpec, episode: Episode) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the shapes, for one task, of the two normal fields of Noise and of its two masks."""
    _, ways, shots, dim = episode.support_x.shape
    codes = (ways, spec.codes_per_class)
    normals = [(*codes, spec.num_latents), (spec.decodes, *codes, dim)]
    return normals, [(1 + spec.steps, ways, shots, dim), tuple(episode.query_x.shape[1:])]


def _require_balanced(support_x: np.ndarray, support_y: np.ndarray) -> None:
    """Raise InputError unless every class has `shots` labels, and all embeddings are finite."""
    tasks, ways, shots = support_y.shape
    if support_x.shape[:3] != support_y.shape:
        raise InputError(
            f"support_x has shape {support_x.shape} and support_y {support_y.shape}; expected the same tasks, ways and "
            "shots."
        )
    found = np.sort(support_y.reshape(tasks, -1), axis=1)
    wrong = np.flatnonzero((found != np.repeat(np.arange(ways), shots)).any(axis=1))
    if wrong.size:
        labels, counts = np.unique(found[wrong[0]], return_counts=True)
        listed = ", ".join(f"{n} of {label}" for label, n in zip(labels[:8], counts[:8], strict=True))
        raise InputError(
            f"Task {wrong[0]} has support labels {listed}; expected {shots} of each of 0 to {ways - 1}. For other "
            "numbers of examples use adapt_imbalanced."
        )
    if not np.isfinite(support_x).all():
        task = int(np.argmin(np.isfinite(support_x).reshape(tasks, -1).all(axis=1)))
        raise InputError(f"support_x of task {task} holds NaN or infinity; expected finite embeddings.")
