"""Runs as training leaves them, without training."""

from types import SimpleNamespace

import keras

from leo_tf.runs.registry import problem_of
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.training.checkpoints import Checkpoints


def save_run(path, config, data_record, seed=0, step=7, value=0.5):
    """Write the folder of a run of untrained weights, its latest state at `step` and best; return its RunDirectory."""
    folder, problem = RunDirectory(path), problem_of(config)
    folder.claim(config, data_record)
    learner, optimizer = problem.build_learner(data_record, seed), keras.optimizers.Adam()
    optimizer.build(learner.meta_variables)
    optimizer.iterations.assign(step)
    state = {"model": learner, "optimizer": optimizer}
    work = SimpleNamespace(
        measured=problem, settings=config.training, steps_taken=step, state=state, validates_at_start=False
    )
    checkpoints = Checkpoints(folder, work)
    assert checkpoints.offer_best(value)
    checkpoints.save()
    return folder
