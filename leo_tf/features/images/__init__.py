"""Reading images: found in a folder, checked, decoded and resized, always in the same way."""

from leo_tf.features.images.folder_layouts import ImageSet, find_images
from leo_tf.features.images.loading import Loader
from leo_tf.features.images.preprocessing import Preprocessing
from leo_tf.features.images.source import Source
from leo_tf.features.images.validation import inspect

__all__ = ["ImageSet", "Loader", "Preprocessing", "Source", "find_images", "inspect"]
