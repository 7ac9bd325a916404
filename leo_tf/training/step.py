"""One meta-training step, and many in one call.

A step samples its tasks in-graph and draws its noise as a function of (seed, global task index), so that how many steps
one call runs, how many replicas share a meta-batch, or where a run was interrupted changes nothing.
"""

import tensorflow as tf

from leo_tf import gradients, randomness

JIT_BY_DEFAULT = True  # measured: see the benchmark's table


class MetaTrainer:
    """Run meta-training steps under a strategy.

    Build model, optimizer and sampler inside the strategy's scope first.

    Args:
      model: anything with `meta_loss(episode, training, noise=)`, `draw_bits(episode, seed, first_task)`,
        `meta_variables`, `matrices` and `outcome_type`.
      optimizer: Keras optimizer, built for the model's meta-variables; its `iterations` count the run's steps.
      sampler: EpisodeSampler or RegressionSampler.
      strategy: tf.distribute.Strategy.
      training: TrainingConfig.
    """

    def __init__(self, model, optimizer, sampler, strategy, training):
        self._model, self._optimizer, self._sampler = model, optimizer, sampler
        self._strategy, self._config = strategy, training
        self._tasks = training.metatrain_batch_size // strategy.num_replicas_in_sync
        jit = JIT_BY_DEFAULT if training.jit == "auto" else training.jit == "on"
        # Sampling and noise stay outside: XLA draws them slowly on CPU, and as other numbers.
        self._compute = tf.function(self._loss_and_gradients, jit_compile=jit)
        self._compute_and_update = tf.function(self._whole_step, jit_compile=jit)

    @tf.function(reduce_retracing=True)
    def run(self, steps):
        """Run `steps` (scalar int tensor) steps.

        Returns:
          Dict of float32 scalars averaged over the steps (`gradient_norms`: one for each variable).
        """
        totals = {name: tf.zeros([], tf.float32) for name in terms_of(self._model)}
        totals["gradient_norms"] = tf.zeros([len(self._model.meta_variables)], tf.float32)
        for _ in tf.range(steps):
            outcome = self._strategy.run(self._step)
            outcome = {
                name: self._strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
                for name, value in outcome.items()
            }
            totals = {name: totals[name] + outcome[name] for name in totals}
        return {name: value / tf.cast(steps, tf.float32) for name, value in totals.items()}

    def _step(self):
        context = tf.distribute.get_replica_context()
        step = tf.cast(self._optimizer.iterations, tf.int64)
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        first_task = step * self._config.metatrain_batch_size + replica * self._tasks
        episode = self._sampler.sample(
            randomness.stream_seed(self._config.seed, randomness.EPISODES), first_task, self._tasks
        )
        bits = self._model.draw_bits(episode, randomness.stream_seed(self._config.seed, randomness.NOISE), first_task)
        if self._strategy.num_replicas_in_sync == 1:
            return self._compute_and_update(episode, bits)
        metrics, values = self._compute(episode, bits)
        values = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        # One replica's NaN loss must reach the guard of all: they apply the same update.
        loss = context.all_reduce(tf.distribute.ReduceOp.MEAN, metrics["loss"])
        return metrics | self._update(loss, values)

    def _whole_step(self, episode, bits):
        metrics, values = self._loss_and_gradients(episode, bits)
        return metrics | self._update(metrics["loss"], values)

    def _update(self, loss, values):
        """Apply the gradients, equal on all replicas by now; return their norms and whether they were replaced."""
        variables = self._model.meta_variables
        norms = tf.cast(gradients.norms(values), tf.float32)
        values, replaced = gradients.guard(loss, values, variables, len(self._model.matrices))
        values = gradients.clip(values, self._config.gradient_threshold, self._config.gradient_norm_threshold)
        # Keras' optimizers sum over replicas what they are given.
        replicas = self._strategy.num_replicas_in_sync
        self._optimizer.apply([value / replicas for value in values] if replicas > 1 else values, variables)
        return {"gradient_norms": norms, "nan_steps": tf.cast(replaced, tf.float32)}

    def _loss_and_gradients(self, episode, bits):
        variables = self._model.meta_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in variables:
                tape.watch(variable.value)
            outcome = self._model.meta_loss(episode, training=True, noise=bits)
        # Without fine-tuning steps nothing depends on their learning rate.
        zero = tf.UnconnectedGradients.ZERO
        values = tape.gradient(outcome.loss, [variable.value for variable in variables], unconnected_gradients=zero)
        metrics = {name: tf.cast(tf.reduce_mean(term), tf.float32) for name, term in outcome._asdict().items()}
        return metrics, values


def terms_of(model):
    """Return the names of what `MetaTrainer.run` reports of a model, means over the tasks."""
    return [*model.outcome_type._fields, "nan_steps"]
