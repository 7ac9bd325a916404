"""What is in the checkpoints of a run."""

import tensorflow as tf

from leo_tf.runs.checkpoint_files import newest_whole


def state_of(path, which):
    """Return every tensor of the newest whole checkpoint in `which`, latest or best, of a run's folder."""
    reader = tf.train.load_checkpoint(str(newest_whole(path / which)))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}
