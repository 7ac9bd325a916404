"""The paper's tables from one command: `python -m leo_tf.reproduce`."""
