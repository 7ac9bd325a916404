"""One step of SGD on a batch of images, split over the replicas of a strategy."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from leo_tf import randomness
from leo_tf.features.augmentation import rotate_quarters
from leo_tf.features.settings import FeatureTrainingConfig

COLUMNS = ("loss", "accuracy", "nan_steps")
_BOUNDARIES, _FACTOR = (0.3, 0.6, 0.8), 0.2  # of Zagoruyko and Komodakis, as shares of all steps


def learning_rate(training: FeatureTrainingConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate schedule of a FeatureTrainingConfig."""
    steps, rate = training.num_steps_limit, training.learning_rate
    if training.learning_rate_schedule == "cosine":
        warmup = training.warmup_steps
        return keras.optimizers.schedules.CosineDecay(
            *(0.0 if warmup else rate, max(1, steps - warmup)),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if training.learning_rate_schedule == "step":
        boundaries = sorted({max(1, round(share * steps)) for share in _BOUNDARIES})
        rates = [rate * _FACTOR**i for i in range(len(boundaries) + 1)]
        return _Warmup(keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates), training.warmup_steps)
    return _Warmup(lambda step: rate, training.warmup_steps)


class _Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule multiplied by a factor that rises to 1 in the first steps."""

    def __init__(self, schedule: Callable, steps: int) -> None:
        self._schedule, self._steps = schedule, steps

    def __call__(self, step: Any) -> tf.Tensor:
        rate = tf.cast(self._schedule(step), tf.float32)
        return rate * tf.minimum(1.0, (tf.cast(step, tf.float32) + 1) / max(1, self._steps))

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self._schedule, "steps": self._steps}


class FeatureSteps:
    """The steps of SGD of a model by `build_network`, built in the strategy's scope like its optimizer."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        training: FeatureTrainingConfig,
    ) -> None:
        self._model, self._optimizer, self._strategy, self._training = model, optimizer, strategy, training
        self._takes_numbers = len(model.inputs) > 1
        self._variables = model.trainable_variables
        # Only kernels: not the biases, nor the scales and shifts of normalisation.
        self._decays = [training.weight_decay * v.path.endswith("kernel") for v in self._variables]
        self._gradient = (
            tf.function(self._forward_and_back, jit_compile=True) if training.jit else self._forward_and_back
        )

    @tf.function(reduce_retracing=True)
    def run(self, images: tf.Tensor, labels: tf.Tensor, first_example: tf.Tensor) -> dict[str, tf.Tensor]:
        """Take a step on an element of `Batches.dataset`; return COLUMNS, float32 scalars, and gradient_norms."""
        outcome = self._strategy.run(self._step, args=(images, labels, first_example))
        return {n: self._strategy.reduce(tf.distribute.ReduceOp.MEAN, v, axis=None) for n, v in outcome.items()}

    def _step(self, images: tf.Tensor, labels: tf.Tensor, first_example: tf.Tensor) -> dict[str, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        replicas = self._strategy.num_replicas_in_sync
        share = images.shape[0] // replicas
        if replicas > 1:
            first = tf.cast(context.replica_id_in_sync_group, tf.int32) * share
            images, labels = images[first : first + share], labels[first : first + share]
            images = tf.ensure_shape(images, [share, *images.shape[1:]])
            first_example += tf.cast(first, tf.int64)
        quarters = self._quarters(first_example, share)
        loss, accuracy, gradients = self._gradient(
            images, labels, quarters, first_example + tf.range(share, dtype=tf.int64)
        )
        mean, norms = loss, tf.stack([tf.norm(gradient) for gradient in gradients])
        if replicas > 1:
            mean, norms = (context.all_reduce(tf.distribute.ReduceOp.MEAN, each) for each in (mean, norms))
        usable = tf.math.is_finite(mean) & tf.reduce_all(tf.math.is_finite(norms))
        gradients = [
            tf.where(usable, gradient + decay * variable.value, tf.zeros_like(gradient)) / replicas
            for gradient, variable, decay in zip(gradients, self._variables, self._decays, strict=True)
        ]
        self._optimizer.apply(gradients, self._variables)  # sums over the replicas
        nan_steps = 1.0 - tf.cast(usable, tf.float32)
        return {"loss": loss, "accuracy": accuracy, "nan_steps": nan_steps, "gradient_norms": norms}

    def _quarters(self, first_example: tf.Tensor, share: int) -> tf.Tensor:
        """Return by how many quarters of a full turn each image is rotated, int32 [share]."""
        if not self._training.rotation_loss_weight:
            return tf.zeros([share], tf.int32)
        seed = randomness.stream_seed(self._training.seed, randomness.IMAGE_ORDER)
        return randomness.integers(seed, first_example, share, 1)[:, 0] & 3

    def _forward_and_back(
        self, images: tf.Tensor, labels: tf.Tensor, quarters: tf.Tensor, examples: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        weight, classes = self._training.rotation_loss_weight, self._model.outputs[0].shape[-1]
        if weight:
            images = rotate_quarters(images, quarters)
        with tf.GradientTape() as tape:
            outputs = self._model([images, examples] if self._takes_numbers else images, training=True)
            logits = outputs[0] if weight else outputs
            targets = tf.one_hot(labels, classes)
            smoothing = self._training.label_smoothing
            targets = targets * (1 - smoothing) + smoothing / classes
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
            if weight:
                rotation_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(quarters, outputs[1])
                loss += weight * tf.reduce_mean(rotation_loss)
        accuracy = tf.reduce_mean(tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == labels, tf.float32))
        return loss, accuracy, tape.gradient(loss, self._variables)
