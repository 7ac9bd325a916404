"""Save a run's model with its extractor: python save.py RUN FOLDER"""

import sys

import leo_tf
from leo_tf.commands.logs import load_tensorflow

if __name__ == "__main__":
    load_tensorflow()
    leo_tf.ImageFewShotClassifier.load(sys.argv[1]).save(sys.argv[2])
