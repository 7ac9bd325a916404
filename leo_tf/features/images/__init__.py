"""Images on disk: found, checked, decoded and cut to size, always by the same steps.

layouts        which of the usual arrangements a folder has, and its classes by split
archives       the published pickles and archives of arrays
splits         a split by class, drawn from a seed
pixels         one file to upright 8-bit RGB
preprocessing  RGB to what a network takes, in TensorFlow
checks         damage and leaks, before the work
loading        a tf.data pipeline over all of it
"""

from leo_tf.features.images.layouts import ImageSet, Source, find_images
from leo_tf.features.images.loading import Loader
from leo_tf.features.images.preprocessing import Preprocessing
from leo_tf.features.images.validation import inspect

__all__ = ["ImageSet", "Loader", "Preprocessing", "Source", "find_images", "inspect"]
