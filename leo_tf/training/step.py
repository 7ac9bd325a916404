"""One meta-training step, and many in one call.

A step samples its tasks in-graph and draws its noise as a function of (seed, global task index), so that how many steps
one call runs, how many replicas share a meta-batch, or where a run was interrupted changes nothing.
"""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from leo_tf import gradients, randomness
from leo_tf.config import TrainingConfig
from leo_tf.learners import JIT_BY_DEFAULT


class MetaSteps:
    """Run meta-training steps under a strategy.

    Build learner, optimizer and samplers inside the strategy's scope first, and the optimizer for the meta-variables;
    its `iterations` count the steps. Each step draws one of the samplers, whose episodes hold features, and all its
    tasks from it.
    """

    def __init__(
        self,
        learner: Any,
        optimizer: Any,
        samplers: Sequence[Any],
        strategy: Any,
        training: TrainingConfig,
    ) -> None:
        self._learner, self._optimizer, self._samplers = learner, optimizer, samplers
        self._strategy, self._config = strategy, training
        self._tasks = training.metatrain_batch_size // strategy.num_replicas_in_sync
        self._variables = learner.meta_variables
        self._num_regularized = len(learner.regularized_weights)
        self._limits = gradients.Limits(training.gradient_threshold, training.gradient_norm_threshold)
        jit = compiles(training.jit)
        # Sampling and noise stay outside: XLA draws them slowly on CPU, and gives other numbers.
        self._compiled_gradient = tf.function(self._gradient, jit_compile=jit)
        self._compiled_step = tf.function(self._whole_step, jit_compile=jit)

    @tf.function(reduce_retracing=True)
    def run(self, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        """Run `steps` (scalar int tensor) steps; return float32 means over them, `gradient_norms` by variable."""
        totals = {name: tf.zeros([], tf.float32) for name in terms_of(self._learner)}
        totals["gradient_norms"] = tf.zeros([len(self._variables)], tf.float32)
        for _ in tf.range(steps):
            outcome = self._step_on_replicas()
            totals = {name: totals[name] + outcome[name] for name in totals}
        return {name: value / tf.cast(steps, tf.float32) for name, value in totals.items()}

    def _step_on_replicas(self) -> dict[str, tf.Tensor]:
        """Take one step on tasks of the sampler that the step draws."""

        def with_sampler(sampler: Any) -> dict[str, tf.Tensor]:
            outcome = self._strategy.run(self._step, args=(sampler,))  # equal on all replicas
            return {name: self._strategy.experimental_local_results(v)[0] for name, v in outcome.items()}

        if len(self._samplers) == 1:
            return with_sampler(self._samplers[0])
        seed = randomness.stream_seed(self._config.seed, randomness.TASK_SHAPES)
        number = randomness.uniform(randomness.integers(seed, self._optimizer.iterations, 1, 1))[0, 0]
        index = tf.cast(number * len(self._samplers), tf.int32)
        return tf.switch_case(index, [functools.partial(with_sampler, each) for each in self._samplers])

    def _step(self, sampler: Any) -> dict[str, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        step = tf.cast(self._optimizer.iterations, tf.int64)
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        first_task = step * self._config.metatrain_batch_size + replica * self._tasks
        episode = sampler.sample(self._config.seed, first_task, self._tasks)
        bits = self._learner.draw_bits(episode, self._config.seed, first_task)
        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1:
            return self._compiled_step(episode, bits)
        metrics, values = self._compiled_gradient(episode, bits)
        # With the loss: one replica's NaN must reach the guard of all, which apply the same update.
        *values, terms = _mean(context, [*values, tf.stack(list(metrics.values()))])
        metrics = dict(zip(metrics, tf.unstack(terms), strict=True))
        update = gradients.apply(
            self._optimizer, self._variables, self._num_regularized, metrics["loss"], values, self._limits, replicas
        )
        return metrics | update

    def _whole_step(self, episode: Any, bits: Any) -> dict[str, tf.Tensor]:
        outcome, update = gradients.meta_step(
            lambda: self._loss(episode, bits), self._optimizer, self._variables, self._num_regularized, self._limits
        )
        return _averaged(outcome) | update

    def _gradient(self, episode: Any, bits: Any) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        outcome, values = gradients.meta_gradient(lambda: self._loss(episode, bits), self._variables)
        return _averaged(outcome), values

    def _loss(self, episode: Any, bits: Any) -> Any:
        return self._learner.meta_loss_on_features(episode, True, noise=self._learner.noise_from_bits(episode, bits))


def _mean(context: Any, values: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return the means of a list of tensors over the replicas, sent as one message to save network latency."""
    dtype = values[0].dtype
    sizes = [value.shape.num_elements() for value in values]
    joined = tf.concat([tf.cast(tf.reshape(value, [-1]), dtype) for value in values], axis=0)
    means = tf.split(context.all_reduce(tf.distribute.ReduceOp.MEAN, joined), sizes)
    return [tf.cast(tf.reshape(m, v.shape), v.dtype) for m, v in zip(means, values, strict=True)]


def compiles(jit: str) -> bool:
    """Return whether a TrainingConfig's `jit` compiles the step with XLA."""
    return JIT_BY_DEFAULT if jit == "auto" else jit == "on"


def _averaged(outcome: Any) -> dict[str, tf.Tensor]:
    return {name: tf.cast(tf.reduce_mean(term), tf.float32) for name, term in outcome._asdict().items()}


def terms_of(learner: Any) -> tuple[str, ...]:
    """Return the names of the means over the tasks that `MetaSteps.run` reports."""
    return (*learner.outcome_type._fields, "nan_steps")
