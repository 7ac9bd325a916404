"""Reading images: found in a folder, checked, decoded and resized, always in the same way.

source          the images of one split
folder_layouts  the known layouts of a folder of images, and its classes by split
archives        the published pickles and archives of arrays
splits          a split by class, drawn from a seed
pixels          one file to upright 8-bit RGB
preprocessing   RGB to the network's input, in TensorFlow
decoding        the same from encoded images inside a TensorFlow graph, for a served model
validation      corrupt images and images in two splits, found before the work
loading         a tf.data pipeline over all of it
"""

from leo_tf.features.images.folder_layouts import ImageSet, find_images
from leo_tf.features.images.loading import Loader
from leo_tf.features.images.preprocessing import Preprocessing
from leo_tf.features.images.source import Source
from leo_tf.features.images.validation import inspect

__all__ = ["ImageSet", "Loader", "Preprocessing", "Source", "find_images", "inspect"]
