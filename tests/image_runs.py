"""A LEO run on embeddings of drawn images, with its extractor: small and quick."""

import keras
from drawn_images import write_classes

import leo_tf
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.features.extract.extraction import Extraction
from leo_tf.features.extract.output import metadata_of, split_file, write_split
from leo_tf.features.extractor import Extractor, weights_digest
from leo_tf.features.images import Preprocessing, find_images, inspect
from leo_tf.features.settings import NetworkConfig
from leo_tf.features.wrn import wide_resnet


def make_image_run(root, views="center", proto_leo=None):
    """Write images, embeddings and a run of one step below `root`; return the run's folder.

    It is a LEO, or with a ProtoLEOConfig a ProtoLEO.
    """
    for split, labels in {"train": range(6), "val": range(6, 9), "test": range(9, 12)}.items():
        write_classes(root / "images" / split, labels, size=40)
    network = wide_resnet(NetworkConfig(depth=10, width=1), 16, 3, 6, seed=3)
    output = keras.layers.GlobalAveragePooling2D()(network.get_layer("group2_block1").output)
    cut = keras.Model(network.inputs[0], output)
    about = {"name": "WRN-10-1", "layer": "group2_block1", "weights_sha256": weights_digest(cut), "trained_on": []}
    extractor = Extractor(cut, Preprocessing(18, 16), about, views)
    inspected = inspect(find_images(root / "images").splits)
    data, embedded = root / "data" / "bars", {}
    for split, each in inspected.items():
        embedded[split] = Extraction(extractor, data / "parts").run(each, split)
        write_split(split_file(data, split, views, "npz"), embedded[split], "float32", "npz")
    extractor.save(data, metadata_of(extractor, inspected, embedded, "float32", ""))
    training = TrainingConfig(num_steps_limit=1, metavalid_tasks=2, metavalid_ways=3, jit="off", checkpoint_steps=1)
    config = leo_tf.RunConfig(
        leo_tf.LEOConfig(1, 1, num_latents=4),
        DataConfig(data_path=str(root / "data"), dataset_name="bars", cache_dir=str(root / "cache")),
        EpisodeConfig(num_classes=3, num_val_examples_per_class=2),
        training,
        proto_leo=proto_leo,
        algorithm="proto_leo" if proto_leo else "leo",
    )
    leo_tf.Trainer(leo_tf.MetaTraining(config), root / "run").run()
    return root / "run"
