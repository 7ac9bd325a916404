"""Meta-learners for classification: adapt to a support set, judged by the accuracy on queries."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import objective
from leo_tf.classification import noise as noises
from leo_tf.data.episodes import Episode
from leo_tf.data.transform import BETWEEN, SHRINKAGE
from leo_tf.errors import InputError
from leo_tf.learners.meta_learner import MetaLearner, noise_seed


class MetaLossOutput(NamedTuple):
    """What one meta-batch gives; `loss` is what the outer loop minimises.

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
    kl: tf.Tensor  # [tasks], nats a latent dimension
    encoder_penalty: tf.Tensor  # [tasks]
    regularization: tf.Tensor  # scalar


class ClassificationLearner(MetaLearner):
    """A model that adapts a linear classifier over fixed embeddings to N-way tasks.

    A subclass creates its variables in its constructor and has `matrices`, `learning_rates`, `noise_spec`,
    `adapt_in_training` and `adapt_in_evaluation`. Classes of an Episode are in the order of their labels.

    Args:
      config: LEOConfig or MAMLConfig.
      embedding_dim: dimensions of an embedding.
    """

    episode_type, outcome_type, metric_name = Episode, MetaLossOutput, "accuracy"

    def __init__(self, config, embedding_dim, **kwargs):
        super().__init__(config, **kwargs)
        if self.config.inner_gradient_norm_threshold:
            # It would bite at other lengths in training, with K copies of a code, than in evaluation, with one.
            raise InputError(
                f"inner_gradient_norm_threshold={self.config.inner_gradient_norm_threshold} was given for "
                "classification; expected 0: only regression has this limit."
            )
        self.embedding_dim = embedding_dim
        self._compiled_adapt = None

    @property
    def feature_dim(self):
        """Dimensions of what `transform` makes of an embedding, and of a class's weights."""
        return self.embedding_dim

    def __repr__(self):
        steps = " + ".join(map(str, self.inner_steps))
        size = sum(int(np.prod(variable.shape)) for variable in self.meta_variables)
        return f"<{self.algorithm} for embeddings of {self.embedding_dim}, {steps} inner steps, {size:,} parameters>"

    def noise_spec(self, shots):
        """Return the noise.NoiseSpec of a pass over tasks of `shots` support examples a class."""
        raise NotImplementedError

    feature_transform: Any = None  # an FeatureTransform, where the model has one
    drops_queries: Any = True  # whether dropout takes dimensions of the queries too; a variable where data decide it

    def fit_transform(self, table, shots=1, shrinkage=None, between=None):
        """Fit the embedding transform, if there is one, to the EmbeddingTable of the meta-training classes.

        Args:
          table: EmbeddingTable.
          shots: examples of a class that plda is to suit.
          shrinkage, between: see `data.transform.fit_transform`; default the configuration's within_class_shrinkage and
            between_class_shrinkage, or 0.3 where these are 0.
        """
        if self.feature_transform is not None:
            config = self.config
            shrinkage = shrinkage or config.within_class_shrinkage or SHRINKAGE
            between = between or config.between_class_shrinkage or BETWEEN
            self.feature_transform.fit(table, config.feature_transform, shrinkage, between, shots)

    def transform(self, embeddings):
        """Return embeddings [..., dim] as `adapt` and `classify` take them: as they are without a transform."""
        return embeddings if self.feature_transform is None else self.feature_transform(embeddings)

    def transform_table(self, table):
        """Return an EmbeddingTable as the model takes it; the same table without a transform."""
        return table if self.feature_transform is None else self.feature_transform.of_table(table)

    def require_ways(self, ways):
        """Raise InputError if the model cannot adapt to tasks of this many classes."""

    def draw_bits(self, episode, seed, first_task=0):
        """Draw noise.RandomBits; see MetaLearner."""
        return noises.draw_bits(self.noise_spec(episode.support_x.shape[2]), episode, noise_seed(seed), first_task)

    def noise_from_bits(self, episode, bits):
        """Return the noise.Noise of an episode; see MetaLearner."""
        return noises.noise_from_bits(self.noise_spec(episode.support_x.shape[2]), episode, bits)

    def query_metrics(self, episode, adapted, noise):
        """Return query loss and accuracy of an AdaptationOutput with classifiers [tasks, ways, dim]; see MetaLearner."""
        query_x = episode.query_x
        if noise is not None:
            dropped = noises.dropout(query_x, noise.query_mask, self.config.dropout_rate)
            query_x = tf.where(tf.cast(self.drops_queries, tf.bool), dropped, query_x)
        logits, labels = self.classify(join_examples(query_x), adapted.parameters), join_examples(episode.query_y)
        return {
            "query_loss": tf.reduce_mean(objective.cross_entropy(logits, labels), axis=1),
            "accuracy": objective.accuracy(logits, labels),
        }

    def support_loss(self, support, labels):
        """Return the function (classifier, step) -> cross-entropy summed over tasks and support (paper equation 5).

        Args:
          support: function from a step to embeddings [tasks, ways, shots, dim].
          labels: [tasks, ways, shots].
        """
        labels = join_examples(labels)

        def loss(classifier, step):
            logits = self.tempered(self.classify(join_examples(support(step)), classifier))
            return tf.reduce_sum(objective.cross_entropy(logits, labels))

        return loss

    def adapt(self, support_x, support_y):
        """Adapt to support sets, deterministically.

        Args:
          support_x: embeddings [tasks, ways, shots, dim].
          support_y: labels [tasks, ways, shots] int, each of 0..ways-1 for `shots` examples of every task, in any
            order.

        Returns:
          Classifier [tasks, ways, dim]; class n in row n.

        Raises:
          InputError: another rank or dim, labels that are not these, or an embedding that is not finite. Values are
            checked in eager code only.
        """
        support_x, support_y = tf.convert_to_tensor(support_x, self.compute_dtype), tf.convert_to_tensor(support_y)
        if support_x.shape.rank != 4 or support_x.shape[-1] != self.feature_dim:
            missing = " One task alone: support_x[np.newaxis], support_y[np.newaxis]." * (support_x.shape.rank == 3)
            raise InputError(
                f"support_x has shape {tuple(support_x.shape)}; expected [tasks, ways, shots, {self.feature_dim}]."
                f"{missing}"
            )
        if not support_y.dtype.is_integer or support_y.shape.rank != 3:
            raise InputError(
                f"support_y has shape {tuple(support_y.shape)} and dtype {support_y.dtype.name}; expected integers "
                "[tasks, ways, shots]."
            )
        if not tf.executing_eagerly():
            return self._adapt_in_order(support_x, support_y)
        _require_possible(support_x.numpy(), support_y.numpy())
        if self._compiled_adapt is None:
            self._compiled_adapt = tf.function(self._adapt_in_order, autograph=False)  # one graph for each shape
        return self._compiled_adapt(support_x, support_y)

    def _adapt_in_order(self, support_x, support_y):
        order = tf.argsort(join_examples(support_y), stable=True)
        shapes = tf.shape(support_x), tf.shape(support_y)
        return self.adapt_in_evaluation(
            *(
                tf.reshape(tf.gather(join_examples(values), order, batch_dims=1), shape)
                for values, shape in zip((support_x, tf.cast(support_y, tf.int32)), shapes, strict=True)
            )
        )

    def classify(self, query_x, classifier):
        """Return logits [tasks, queries, ways] of query_x [tasks, queries, dim] under classifier [tasks, ways, dim]."""
        return tf.matmul(tf.convert_to_tensor(query_x, classifier.dtype), classifier, transpose_b=True)

    def tempered(self, logits):
        """Return logits of the support as the inner loops judge them: divided by a temperature, if there is one."""
        return logits

    def call(self, episode):
        """Adapt to an episode's support and return the logits of its queries, [tasks, ways * queries, ways]."""
        episode = Episode(*episode)
        return self.classify(join_examples(episode.query_x), self.adapt(episode.support_x, episode.support_y))

    def get_config(self):
        return {**super().get_config(), "embedding_dim": self.embedding_dim}


def join_examples(tensor):
    """Join the axes of classes and examples: [tasks, ways, n, ...] -> [tasks, ways * n, ...]."""
    shape = tf.shape(tensor)
    return tf.reshape(tensor, tf.concat([shape[:1], [shape[1] * shape[2]], shape[3:]], axis=0))


def _require_possible(support_x, support_y):
    """Raise InputError for labels that are not every class's, or embeddings that are not finite."""
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
