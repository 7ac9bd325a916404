"""What the benchmark times: training, evaluation and sampling of one setting, ours and plain, ready to call."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from leo_tf import gradients, randomness
from leo_tf.benchmark.plain import PlainLEO, PlainPipeline
from leo_tf.classification import LEO, Evaluator, adapted_by, draw_tasks
from leo_tf.config import LEOConfig, TrainingConfig
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.learners import ADAM_EPSILON
from leo_tf.training import MetaSteps

DIM = 640


class Setting(NamedTuple):
    """The shape of a benchmark: a data set's size and a task's."""

    train_classes: int
    test_classes: int
    rows: int  # examples of a class
    ways: int
    shots: int
    queries: int = 15
    meta_batch: int = 12
    latent_steps: int = 5


SETTINGS = {
    "mini_1shot": Setting(64, 20, 600, 5, 1),
    "mini_5shot": Setting(64, 20, 600, 5, 5),
    "tiered_1shot": Setting(351, 160, 1278, 5, 1),
    "tiered_5shot": Setting(351, 160, 1278, 5, 5),
}
_MODEL: dict[str, Any] = {"dropout_rate": 0.3, "kl_weight": 0.1, "encoder_penalty_weight": 1e-6}


class Case(NamedTuple):
    """Something to time: `run(n)` does n units of work and waits for them."""

    run: Callable[[int], None]
    seconds_to_first: float  # building, tracing and compiling, up to the end of the first unit


def synthetic_table(classes, rows, seed=0):
    """Return random unit embeddings [classes * rows, 640] in classes of `rows`."""
    embeddings = np.random.default_rng(seed).standard_normal((classes * rows, DIM), np.float32)
    return EmbeddingTable.from_arrays(embeddings, np.repeat(np.arange(classes), rows), source="synthetic")


def model_of(setting):
    """Return the LEO model that a setting trains."""
    return LEO(LEOConfig(inner_unroll_length=setting.latent_steps, **_MODEL), DIM, seed=0)


def training(setting, table, jit):
    """Return the Case of meta-training steps as `train.py` runs them; jit is "auto", "on" or "off"."""
    start = time.perf_counter()
    model, optimizer = model_of(setting), keras.optimizers.Adam(1e-4, epsilon=ADAM_EPSILON)
    optimizer.build(model.meta_variables)
    sampler = EpisodeSampler(table, setting.ways, setting.shots, setting.queries)
    config = TrainingConfig(metatrain_batch_size=setting.meta_batch, jit=jit)
    steps = MetaSteps(model, optimizer, sampler, tf.distribute.get_strategy(), config)

    def run(count):
        steps.run(tf.constant(count))["loss"].numpy()

    return _started(run, start)


def plain_training(setting, table):
    """Return the Case of meta-training steps in the plain formulation; same guard, clipping and optimizer."""
    start = time.perf_counter()
    model, optimizer = model_of(setting), keras.optimizers.Adam(1e-4, epsilon=ADAM_EPSILON)
    optimizer.build(model.meta_variables)
    pipeline = PlainPipeline(table, setting.ways, setting.shots, setting.queries)
    episodes = pipeline.episodes(setting.meta_batch)
    plain = PlainLEO(model)

    @tf.function
    def step(episode):
        outcome, _ = gradients.meta_step(
            lambda: plain.meta_loss(episode, training=True),
            optimizer,
            model.meta_variables,
            len(model.matrices),
            gradients.Limits(),
        )
        return outcome.loss

    def run(count):
        for episode, _ in episodes.take(count):  # prefetches within its turn, not into the next case's
            loss = step(episode)
        loss.numpy()

    return _started(run, start)


def evaluation(setting, table, batch_size=200):
    """Return the Case of test tasks with all remaining queries; a unit is `batch_size` tasks, drawn before."""
    tasks = draw_tasks(table, setting.ways, setting.shots, num_tasks=batch_size)
    start = time.perf_counter()
    sampler = EpisodeSampler(table, setting.ways, setting.shots)
    evaluator = Evaluator(adapted_by(model_of(setting)), sampler, batch_size)

    def run(count):
        for _ in range(count):
            evaluator.run_on(tasks)

    return _started(run, start)


def plain_evaluation(setting, table, batch_size):
    """Return the Case of test tasks in the plain formulation, all queries gathered; a unit is `batch_size` tasks."""
    start = time.perf_counter()
    queries = int(table.class_sizes.min()) - setting.shots
    pipeline = PlainPipeline(table, setting.ways, setting.shots, queries)
    episodes = pipeline.episodes(batch_size)
    plain = PlainLEO(model_of(setting))

    @tf.function
    def accuracy(episode):
        return plain.meta_loss(episode, training=False).accuracy

    def run(count):
        for episode, _ in episodes.take(count):
            accuracy(episode).numpy()

    return _started(run, start)


def sampling(setting, table):
    """Return the Case of sampling meta-batches alone."""
    start = time.perf_counter()
    sampler = EpisodeSampler(table, setting.ways, setting.shots, setting.queries)

    @tf.function
    def sample(count):
        total = tf.zeros([])
        for index in tf.range(count):
            seed = randomness.stream_seed(0, randomness.EPISODES)
            episode = sampler.sample(seed, index * setting.meta_batch, setting.meta_batch)
            total += episode.query_x[-1, -1, -1, -1] + episode.support_x[-1, -1, -1, -1]
        return total

    return _started(lambda count: sample(tf.constant(count)).numpy(), start)


def _started(run, start):
    run(1)
    return Case(run, time.perf_counter() - start)
