"""Pre-training of a wide residual network on the meta-training classes: `python -m leo_tf.features.pretrain`.

network     the network and preprocessing of a configuration
batches     the images of each step, and their augmentation
step        one step of SGD
evaluation  accuracy on held-out images, and in few-shot tasks of the validation classes
work        all of it, as work for the Trainer
"""
