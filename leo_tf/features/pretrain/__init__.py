"""Pre-training of a wide residual network on the meta-training classes: `python -m leo_tf.features.pretrain`.

batches   which images are in which step, and how they are augmented
step      one step of SGD
watching  accuracy on held-out images, and in few-shot tasks of the validation classes
work      all of it, as work for the Trainer
"""
