"""Pre-training of a wide residual network on the meta-training classes: `python -m leo_tf.features.pretrain`."""
