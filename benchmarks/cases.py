"""Cases of the speed benchmark: training, evaluation and sampling, with leo_tf and with the naive formulation."""

import time
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from measuring import Case, first_run
from naive_leo import NaiveLEO, NaivePipeline

from leo_tf import gradients, randomness
from leo_tf.classification import LEO, Evaluator, adapted_by, draw_tasks
from leo_tf.config import LEOConfig, TrainingConfig
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.learners import ADAM_EPSILON
from leo_tf.training import MetaSteps

DIM = 640
MODEL: dict[str, Any] = {"dropout_rate": 0.3, "kl_weight": 0.1, "encoder_penalty_weight": 1e-6}


class Setting(NamedTuple):
    """The sizes of a data set and of a task."""

    train_classes: int
    test_classes: int
    rows: int  # examples per class
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


def synthetic_table(classes: int, rows: int, seed: int = 0) -> EmbeddingTable:
    """Return random unit embeddings [classes * rows, 640], `rows` per class."""
    embeddings = np.random.default_rng(seed).standard_normal((classes * rows, DIM), np.float32)
    return EmbeddingTable.from_arrays(embeddings, np.repeat(np.arange(classes), rows), source="synthetic")


def make_model(setting: Setting) -> LEO:
    """Return the LEO model that a setting trains."""
    return LEO(LEOConfig(inner_unroll_length=setting.latent_steps, **MODEL), DIM, seed=0)


def _model_and_optimizer(setting: Setting) -> tuple[LEO, Any]:
    model, optimizer = make_model(setting), keras.optimizers.Adam(1e-4, epsilon=ADAM_EPSILON)
    optimizer.build(model.meta_variables)
    return model, optimizer


def training(setting: Setting, table: EmbeddingTable, jit: str) -> Case:
    """Return the Case of meta-training steps as in `train.py`; jit is "auto", "on" or "off"."""
    start = time.perf_counter()
    model, optimizer = _model_and_optimizer(setting)
    sampler = EpisodeSampler(table, setting.ways, setting.shots, setting.queries)
    config = TrainingConfig(metatrain_batch_size=setting.meta_batch, jit=jit)
    steps = MetaSteps(model, optimizer, [sampler], tf.distribute.get_strategy(), config)

    def run(count: int) -> None:
        steps.run(tf.constant(count))["loss"].numpy()

    return first_run(run, start)


def naive_training(setting: Setting, table: EmbeddingTable) -> Case:
    """Return the Case of meta-training steps in the naive formulation, with the same guard, clipping and optimizer."""
    start = time.perf_counter()
    model, optimizer = _model_and_optimizer(setting)
    pipeline = NaivePipeline(table, setting.ways, setting.shots, setting.queries)
    episodes = pipeline.episodes(setting.meta_batch)
    naive = NaiveLEO(model)

    @tf.function
    def step(episode: Any) -> tf.Tensor:
        outcome, _ = gradients.meta_step(
            lambda: naive.meta_loss(episode, training=True),
            optimizer,
            model.meta_variables,
            len(model.regularized_weights),
            gradients.Limits(),
        )
        return outcome.loss

    def run(count: int) -> None:
        for episode, _ in episodes.take(count):  # so that prefetching ends with the turn of this case
            loss = step(episode)
        loss.numpy()

    return first_run(run, start)


def evaluation(setting: Setting, table: EmbeddingTable, batch_size: int = 200) -> Case:
    """Return the Case of test tasks with all remaining queries; a unit is `batch_size` tasks, drawn beforehand."""
    tasks = draw_tasks(table, setting.ways, setting.shots, num_tasks=batch_size)
    start = time.perf_counter()
    sampler = EpisodeSampler(table, setting.ways, setting.shots)
    evaluator = Evaluator(adapted_by(make_model(setting)), sampler, batch_size)

    def run(count: int) -> None:
        for _ in range(count):
            evaluator.run_on(tasks)

    return first_run(run, start)


def naive_evaluation(setting: Setting, table: EmbeddingTable, batch_size: int) -> Case:
    """Return the Case of test tasks in the naive formulation; a unit is `batch_size` tasks."""
    start = time.perf_counter()
    queries = int(table.class_sizes.min()) - setting.shots
    pipeline = NaivePipeline(table, setting.ways, setting.shots, queries)
    episodes = pipeline.episodes(batch_size)
    naive = NaiveLEO(make_model(setting))

    @tf.function
    def accuracy(episode: Any) -> tf.Tensor:
        return naive.meta_loss(episode, training=False).accuracy

    def run(count: int) -> None:
        for episode, _ in episodes.take(count):
            accuracy(episode).numpy()

    return first_run(run, start)


def sampling(setting: Setting, table: EmbeddingTable) -> Case:
    """Return the Case of sampling meta-batches alone."""
    start = time.perf_counter()
    sampler = EpisodeSampler(table, setting.ways, setting.shots, setting.queries)

    @tf.function
    def sample(count: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([])
        for index in tf.range(count):
            seed = randomness.stream_seed(0, randomness.EPISODES)
            episode = sampler.sample(seed, index * setting.meta_batch, setting.meta_batch)
            total += episode.query_x[-1, -1, -1, -1] + episode.support_x[-1, -1, -1, -1]
        return total

    return first_run(lambda count: sample(tf.constant(count)).numpy(), start)
