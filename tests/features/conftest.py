"""A small data set of drawn images."""

import pytest
from drawn_images import write_classes


@pytest.fixture(scope="session")
def split_folder(tmp_path_factory):
    """train/, val/ and test/ of 6, 3 and 3 classes of 6 images."""
    root = tmp_path_factory.mktemp("photos")
    for split, labels in {"train": range(6), "val": range(6, 9), "test": range(9, 12)}.items():
        write_classes(root / split, labels)
    return root


@pytest.fixture(scope="session")
def features_run(split_folder, tmp_path_factory):
    """The folder of a pre-training run of a few steps, on images of 16 pixels, with dropout."""
    import leo_tf
    from leo_tf.features.pretrain.work import Pretraining
    from leo_tf.features.settings import FeatureTrainingConfig, ImageConfig, NetworkConfig, PretrainConfig

    images = ImageConfig(images=str(split_folder), image_size=16, cache_dir=str(tmp_path_factory.mktemp("cache")))
    training = FeatureTrainingConfig(
        **{"batch_size": 8, "num_steps_limit": 4, "checkpoint_steps": 4, "learning_rate": 0.02},
        **{"eval_ways": 3, "eval_tasks": 4, "heldout_fraction": 0.2},
    )
    path = tmp_path_factory.mktemp("features") / "run"
    network = NetworkConfig(depth=10, width=1, dropout_rate=0.1)
    leo_tf.Trainer(Pretraining(PretrainConfig(images, network, training)), path).run()
    return path
