"""Settings of the data, and of the tasks made of them."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting

_MOST = 10_000  # ways or shots


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
    metatrain_ways: str = setting(
        "",
        "ways of meta-training tasks, a number or a range such as 5-20, as far as there are classes; MAML and Meta-SGD "
        "use num_classes; empty: num_classes",
    )
    metatrain_shots: str = setting(
        "",
        "shots of meta-training tasks, a number or a range such as 1-20, as far as classes have examples; tasks of "
        "more shots have fewer ways; empty: num_tr_examples_per_class",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.ways_range, self.shots_range  # they raise

    @property
    def ways_range(self) -> tuple[int, int]:
        """Smallest and largest number of ways of meta-training tasks."""
        return _range(self, "metatrain_ways", 2) or (self.num_classes, self.num_classes)

    @property
    def shots_range(self) -> tuple[int, int]:
        """Smallest and largest number of shots of meta-training tasks."""
        shots = self.num_tr_examples_per_class
        return _range(self, "metatrain_shots", 1) or (shots, shots)


def _range(episodes: EpisodeConfig, name: str, least: int) -> tuple[int, int] | None:
    text = getattr(episodes, name)
    if not text:
        return None
    numbers = [int(each) if each.isascii() and each.isdigit() else -1 for each in text.split("-")]
    expected = f"a number, or a range such as 5-20, from {least} to {_MOST}"
    require(len(numbers) <= 2 and least <= numbers[0] <= numbers[-1] <= _MOST, episodes, name, expected)
    return numbers[0], numbers[-1]
