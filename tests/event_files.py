"""What TensorBoard reads of a run."""

import tensorflow as tf


def events(folder):
    """Return {tag: [(step, value)]} of a folder of events."""
    found = {}
    for file in sorted(folder.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def curves_of(run, tag):
    """Return {curve: {step: number}} of one chart of a run's folder; of points at the same step the last."""
    found = {path.name: events(path).get(tag, []) for path in run.iterdir() if path.is_dir()}
    return {
        curve: {step: float(tf.make_ndarray(value.tensor)) for step, value in points}
        for curve, points in found.items()
        if points
    }
