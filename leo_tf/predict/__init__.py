"""Classification of image files: `python -m leo_tf.predict`."""
