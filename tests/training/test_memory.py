"""Memory: a long run holds no more of it than a short one."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, LEOConfig
from leo_tf.config import TrainingConfig
from leo_tf.training import MetaSteps

STATM = Path("/proc/self/statm")


def resident_megabytes():
    return int(STATM.read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not STATM.exists(), reason="needs Linux' /proc")
def test_memory_stays_flat_over_5000_steps():
    rows = np.random.default_rng(0).normal(size=(60, 16))
    table = EmbeddingTable.from_arrays(rows, np.repeat(np.arange(6), 10))
    model = LEO(LEOConfig(num_latents=4, inner_unroll_length=1, finetuning_unroll_length=1), table.dim, seed=0)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.meta_variables)
    sampler = EpisodeSampler(table, 3, 1, 4)
    training = TrainingConfig(metatrain_batch_size=2)
    steps = MetaSteps(model, optimizer, sampler, tf.distribute.get_strategy(), training)

    def run(calls):
        for _ in range(calls):
            steps.run(tf.constant(100))["loss"].numpy()
        return resident_megabytes()

    before = run(5)
    assert run(50) - before < 5  # 1 kB a step
    assert steps.run.experimental_get_tracing_count() == 1
    assert int(optimizer.iterations) == 5500
