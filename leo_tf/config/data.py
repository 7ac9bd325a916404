"""Settings of the data, and of the tasks made of them."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting


@dataclass(frozen=True)
class DataConfig(Section):
    """Which embeddings to use, and where they are."""

    group = "Data"

    data_path: str = setting(
        "", "folder that holds DATASET_NAME/SPLIT.npz or DATASET_NAME/CROP/SPLIT_embeddings.pkl; empty: the cache"
    )
    dataset_name: str = setting("miniImageNet", "miniImageNet, tieredImageNet, glyphs (built in), or your own folder")
    embedding_crop: str = setting(
        "center",
        "image crop of a published data set's embeddings: center, or multiview, the mean over ten crops",
        choices=("center", "multiview"),
    )
    train_on_val: bool = setting(False, "train on the validation classes too")
    normalize_embeddings: bool = setting(True, "scale every embedding to unit L2 norm")
    download: bool = setting(True, "download a published data set that is missing")
    cache_dir: str = setting("", "folder for downloads and converted tables; empty: the user's cache folder")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.dataset_name), self, "dataset_name", "the name of a data set")


@dataclass(frozen=True)
class EpisodeConfig(Section):
    """The shape of a task: N-way K-shot, with queries; regression tasks have no classes."""

    group = "Tasks"

    num_classes: int = setting(5, "ways: classes in a task", low=2, high=10_000)
    num_tr_examples_per_class: int = count(
        1, "shots: support examples per class; support points in regression", high=10_000
    )
    num_val_examples_per_class: int = count(
        15, "queries per class in meta-training; query points in regression", high=100_000
    )
    tasks_within: str = setting(
        "all",
        "group: draw the classes of a task from one group; alphabet/character belongs to group alphabet",
        choices=("all", "group"),
    )
    metatrain_ways: int = count(
        0,
        "ways of meta-training tasks, if larger than num_classes and as far as there are classes; MAML and Meta-SGD "
        "use num_classes; 0: num_classes",
        low=0,
        high=10_000,
    )
