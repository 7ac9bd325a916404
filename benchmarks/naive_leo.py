"""LEO as one would first write it: one task at a time through `tf.map_fn`, every pair and every copy spelled out.

The reference of the speed benchmark, built like the official code: tasks are assembled in Python from a dictionary of
embeddings; nested gradients in graph mode; noise and dropout drawn where they are used; relation pairs concatenated;
one code and one classifier per support example, whose logits are averaged. It shares the model's variables and
configuration, and nothing else.
"""

import random
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.classification import LEO
from leo_tf.data import EmbeddingTable, Episode


class NaivePipeline:
    """Assembles tasks in Python: shuffles the classes, chooses images of each, looks each up by its name.

    Args:
      table: EmbeddingTable.
      ways, shots, queries: shape of a task.
    """

    def __init__(self, table: EmbeddingTable, ways: int, shots: int, queries: int):
        self._shape, self._dim = (ways, shots, queries), table.dim
        embeddings, names = np.array(table.embeddings), []
        for class_name, size in zip(table.class_names, table.class_sizes, strict=True):
            names.append(np.array([f"{class_name}_{index:08d}.jpg" for index in range(size)]))
        self._images = dict(zip(table.class_names, names, strict=True))
        self._embedding = dict(zip(np.concatenate(names).tolist(), embeddings, strict=True))

    def episodes(self, batch_size: int) -> tf.data.Dataset:
        """Return a dataset of batches of (Episode, names of the images [tasks, ways, shots + queries])."""
        dataset = tf.data.Dataset.range(2**40).map(lambda _: self._instance())
        return dataset.batch(batch_size, drop_remainder=True).prefetch(1)

    def _instance(self) -> tuple[Episode, tf.Tensor]:
        ways, shots, queries = self._shape
        embeddings, labels, names = tf.numpy_function(self._task, [], [tf.float32, tf.int32, tf.string], stateful=True)
        embeddings = tf.math.l2_normalize(tf.ensure_shape(embeddings, [ways, shots + queries, self._dim]), axis=-1)
        labels = tf.ensure_shape(labels, [ways, shots + queries])
        (support_x, query_x), (support_y, query_y) = (
            tf.split(tensor, [shots, queries], axis=1) for tensor in (embeddings, labels)
        )
        return Episode(support_x, support_y, query_x, query_y), names

    def _task(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ways, shots, queries = self._shape
        classes = list(self._images)
        random.shuffle(classes)
        names = [np.random.choice(self._images[name], shots + queries, replace=False) for name in classes[:ways]]
        embeddings = np.array([[self._embedding[name] for name in of_class] for of_class in names])
        labels = np.array([[label] * (shots + queries) for label in range(ways)], np.int32)
        return embeddings, labels, np.array(names).astype(bytes)


class NaiveLoss(NamedTuple):
    """Loss and accuracy of a meta-batch."""

    loss: tf.Tensor  # scalar
    accuracy: tf.Tensor  # [tasks]


class NaiveLEO:
    """The naive formulation with a LEO model's variables.

    Args:
      model: LEO.
    """

    def __init__(self, model: LEO):
        self._model, self._config = model, model.config

    def meta_loss(self, episode: Episode, training: bool) -> NaiveLoss:
        """Return the NaiveLoss of an Episode; arguments as in `LEO.meta_loss`."""
        task_losses, accuracy = tf.map_fn(
            lambda task: self._task(Episode(*task), training),
            tuple(episode),
            fn_output_signature=(tf.float32, tf.float32),
        )
        return NaiveLoss(tf.reduce_mean(task_losses) + self._model.regularization(), accuracy)

    def _task(self, episode: Episode, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Return (loss, accuracy) of one task: an Episode without the axis of tasks."""
        config, (support_x, support_y, query_x, query_y) = self._config, episode
        mean, stddev = self._encode(self._dropout(support_x, training))
        latents = mean + stddev * tf.random.normal(tf.shape(mean)) if training else mean
        initial, kl, penalty = latents, 0.0, 0.0
        if training:
            log_posterior = -tf.math.log(stddev) - tf.square((latents - mean) / stddev) / 2
            kl = tf.reduce_mean(log_posterior + tf.square(latents) / 2)
        classifier = self._decode(latents, training)
        loss = self._losses(support_x, support_y, classifier, training)
        for _ in range(config.inner_unroll_length):
            latents -= self._model.latent_learning_rate * tf.gradients(loss, latents)[0]
            classifier = self._decode(latents, training)
            loss = self._losses(support_x, support_y, classifier, training)
        if training:
            penalty = tf.reduce_mean(tf.math.squared_difference(tf.stop_gradient(latents), initial))
        for _ in range(config.finetuning_unroll_length):
            classifier -= self._model.finetuning_learning_rate * tf.gradients(loss, classifier)[0]
            loss = self._losses(support_x, support_y, classifier, training)
        logits = self._logits(query_x, classifier, training)
        query_loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(query_y, logits))
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), query_y)
        total = query_loss + config.kl_weight * kl + config.encoder_penalty_weight * penalty
        return total, tf.reduce_mean(tf.cast(right, tf.float32))

    def _encode(self, support_x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ways, shots, _ = support_x.shape
        codes = tf.reshape(support_x @ tf.convert_to_tensor(self._model.encoder.kernel), [ways * shots, -1])
        left = tf.repeat(codes, ways * shots, axis=0)
        right = tf.tile(codes, [ways * shots, 1])
        pairs = tf.concat([left, right], axis=-1)
        first, second, third = (tf.convert_to_tensor(kernel) for kernel in self._model.encoder.relation.kernels)
        pairs = tf.nn.relu(tf.nn.relu(pairs @ first) @ second) @ third
        by_class = tf.reduce_mean(tf.reshape(pairs, [ways, shots * ways * shots, -1]), axis=1)
        codes = tf.repeat(by_class[:, tf.newaxis], shots, axis=1)
        mean, raw = tf.split(codes, 2, axis=-1)
        return mean, tf.maximum(tf.exp(raw) - 1.0, 1e-10)

    def _decode(self, latents: tf.Tensor, training: bool) -> tf.Tensor:
        ways, shots, size = latents.shape
        raw = tf.reshape(latents, [ways * shots, size]) @ tf.convert_to_tensor(self._model.decoder.kernel)
        mean, raw = tf.split(tf.reshape(raw, [ways, shots, -1]), 2, axis=-1)
        if not training:
            return mean
        offset = (2.0 / (ways + self._model.embedding_dim)) ** 0.5
        stddev = tf.maximum(tf.exp(raw) - (1.0 - offset), 1e-10)
        return mean + stddev * tf.random.normal(tf.shape(mean))

    def _losses(self, inputs: tf.Tensor, labels: tf.Tensor, classifier: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self._logits(inputs, classifier, training))

    def _logits(self, inputs: tf.Tensor, classifier: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.reduce_mean(tf.einsum("ijk,lmk->ijlm", self._dropout(inputs, training), classifier), axis=-1)

    def _dropout(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.nn.dropout(inputs, self._config.dropout_rate) if training else inputs
