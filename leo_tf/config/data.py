"""Which embeddings, from where; and the shape of a task made of them."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting

CROPS = ("center", "multiview")
WITHIN = ("all", "group")


@dataclass(frozen=True)
class DataConfig(Section):
    """Which embeddings, from where."""

    group = "Data"

    data_path: str = setting("", "folder of DATASET_NAME/SPLIT.npz or CROP/SPLIT_embeddings.pkl; empty: the cache")
    dataset_name: str = setting("miniImageNet", "miniImageNet, tieredImageNet, glyphs (built in), or your own folder")
    embedding_crop: str = setting("center", "which embeddings of a published data set", choices=CROPS)
    train_on_val: bool = setting(False, "join the validation classes to the training classes")
    normalize_embeddings: bool = setting(True, "scale every embedding to unit L2 norm")
    download: bool = setting(True, "fetch a published data set that is missing")
    cache_dir: str = setting("", "folder for downloads and converted tables; empty: the user's cache folder")

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.dataset_name), self, "dataset_name", "the name of a data set")


@dataclass(frozen=True)
class EpisodeConfig(Section):
    """The shape of a task: N-way K-shot; queries and ways of a meta-training task; a regression task has no classes."""

    group = "Tasks"

    num_classes: int = setting(5, "ways: classes in a task", low=2, high=10_000)
    num_tr_examples_per_class: int = count(
        1, "shots: support examples of a class, support points in regression", high=10_000
    )
    num_val_examples_per_class: int = count(
        15, "queries of a class in meta-training, query points in regression", high=100_000
    )
    tasks_within: str = setting(
        "all",
        "group: the classes of a task are of one group, a class's name up to its last slash, as alphabet/character",
        choices=WITHIN,
    )
    metatrain_ways: int = count(
        0,
        "classes in a task of LEO's meta-training, if more than num_classes, and where there are so many; beyond the "
        "paper",
        low=0,
        high=10_000,
    )
