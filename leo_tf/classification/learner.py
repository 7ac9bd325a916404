"""Meta-learners for classification: adapt to a support set, judged by the accuracy on queries."""

import tensorflow as tf

from leo_tf import objective
from leo_tf.classification.noise import Noise, draw_bits, dropout, noise_from_bits
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.meta_learner import MetaLearner, noise_seed
from leo_tf.objective import MetaLoss


class ClassificationLearner(MetaLearner):
    """A model that adapts to N-way tasks over fixed embeddings.

    A subclass creates its variables in its constructor and has `matrices`, `learning_rates`, `adapt_in_training` and
    `adapt_in_evaluation`.

    Args:
      config: LEOConfig.
      embedding_dim: dimensions of an embedding.
    """

    episode_type, outcome_type, judged_by = Episode, MetaLoss, "accuracy"

    def __init__(self, config, embedding_dim, **kwargs):
        if config.inner_gradient_norm_threshold:
            # It would bite at other lengths in training, with K copies of a code, than in evaluation, with one.
            raise InputError(
                f"inner_gradient_norm_threshold={config.inner_gradient_norm_threshold} was given for classification; "
                "expected 0: only regression has this limit."
            )
        super().__init__(config, **kwargs)
        self.embedding_dim = embedding_dim

    def adapt_in_training(self, support_x, labels, noise):
        """Adapt as meta-training does, with noise.

        Args:
          support_x: embeddings [tasks, ways, shots, dim].
          labels: [tasks, ways * shots] int.
          noise: Noise.

        Returns:
          (classifier [tasks, ways, dim], kl [tasks], encoder penalty [tasks]).
        """
        raise NotImplementedError

    def adapt_in_evaluation(self, support_x, labels):
        """Adapt without noise; arguments as in `adapt_in_training`, returns the classifier."""
        raise NotImplementedError

    def require_ways(self, ways):
        """Raise InputError if the model cannot adapt to tasks of this many classes."""

    def meta_loss(self, episode, training, seed=None, first_task=0, noise=None):
        """Compute the meta-objective on a batch of tasks.

        Args:
          episode: Episode.
          training: True samples codes and weights and drops out embeddings; False uses means and is deterministic.
          seed: int, or int64 [2] from `randomness.stream_seed`; needed when training, unless `noise` is given.
          first_task: index in the run of the first task, which together with `seed` fixes the noise.
          noise: what to use instead of drawing it: the bits from `draw_bits`, or a Noise.

        Returns:
          MetaLoss.

        Raises:
          InputError: training without a seed or noise.

        References:
          Paper algorithm 1 and equation 6.
        """
        labels, query_x = join_examples(episode.support_y), episode.query_x
        if training:
            if noise is None:
                noise = self.draw_bits(episode, seed, first_task)
            if not isinstance(noise, Noise):
                noise = noise_from_bits(self.config, episode, noise)
            classifier, kl, encoder_penalty = self.adapt_in_training(episode.support_x, labels, noise)
            query_x = dropout(query_x, noise.query_mask, self.config.dropout_rate)
        else:
            classifier = self.adapt_in_evaluation(episode.support_x, labels)
            kl = encoder_penalty = tf.zeros_like(classifier[:, 0, 0])
        logits, labels = self.classify(join_examples(query_x), classifier), join_examples(episode.query_y)
        query_loss = tf.reduce_mean(objective.cross_entropy(logits, labels), axis=1)
        penalties = self.config.kl_weight * kl + self.config.encoder_penalty_weight * encoder_penalty
        regularization = self.regularization()
        return MetaLoss(
            loss=tf.reduce_mean(query_loss + penalties) + regularization,
            query_loss=query_loss,
            accuracy=objective.accuracy(logits, labels),
            kl=kl,
            encoder_penalty=encoder_penalty,
            regularization=regularization,
        )

    def draw_bits(self, episode, seed, first_task=0):
        """Draw the random bits of a stochastic pass over `episode`; arguments as in `meta_loss`."""
        return draw_bits(self.config, episode, noise_seed(seed), first_task)

    def adapt(self, support_x, support_y):
        """Adapt to support sets, deterministically.

        Args:
          support_x: embeddings [tasks, ways, shots, dim], class n in row n.
          support_y: labels [tasks, ways, shots] int, n in row n.

        Returns:
          Classifier [tasks, ways, dim].

        Raises:
          InputError: support_x has another rank or dim.
        """
        support_x = tf.convert_to_tensor(support_x, self.compute_dtype)
        if support_x.shape.rank != 4 or support_x.shape[-1] != self.embedding_dim:
            raise InputError(
                f"support_x has shape {tuple(support_x.shape)}; expected [tasks, ways, shots, {self.embedding_dim}]."
            )
        return self.adapt_in_evaluation(support_x, join_examples(tf.convert_to_tensor(support_y, tf.int32)))

    def classify(self, query_x, classifier):
        """Return logits [tasks, queries, ways] of query_x [tasks, queries, dim] under classifier [tasks, ways, dim]."""
        return tf.matmul(tf.convert_to_tensor(query_x, classifier.dtype), classifier, transpose_b=True)

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
