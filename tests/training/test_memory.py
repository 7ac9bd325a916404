"""Memory: a long run holds no more of it than a short one. Measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

STATM = Path("/proc/self/statm")
CODE = """
import keras, numpy as np, tensorflow as tf
from leo_tf import LEO, EmbeddingTable, EpisodeSampler, LEOConfig
from leo_tf.config import TrainingConfig
from leo_tf.training import MetaSteps

rows = np.random.default_rng(0).normal(size=(60, 16))
table = EmbeddingTable.from_arrays(rows, np.repeat(np.arange(6), 10))
model = LEO(LEOConfig(num_latents=4, inner_unroll_length=1, finetuning_unroll_length=1), table.dim, seed=0)
optimizer = keras.optimizers.Adam(1e-4)
optimizer.build(model.meta_variables)
steps = MetaSteps(
    model, optimizer, [EpisodeSampler(table, 3, 1, 4)], tf.distribute.get_strategy(),
    TrainingConfig(metatrain_batch_size=2),
)

def megabytes_after(calls):
    for _ in range(calls):
        steps.run(tf.constant(100))["loss"].numpy()
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

before = megabytes_after(5)
print(megabytes_after(50) - before, steps.run.experimental_get_tracing_count(), int(optimizer.iterations))
"""


@pytest.mark.skipif(not STATM.exists(), reason="needs Linux' /proc")
@pytest.mark.long
def test_memory_stays_flat_over_5000_steps():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    growth, tracings, steps = map(float, done.stdout.split())
    assert growth < 5  # 1 kB per step
    assert (tracings, steps) == (1, 5500)
