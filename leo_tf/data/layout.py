"""Where the file of a split lies: the official layout and two plain ones."""

from pathlib import Path

from leo_tf.errors import InputError

SPLITS = ("train", "val", "test")
CROPS = ("center", "multiview")


def check_names(split: str, embedding_crop: str) -> None:
    """Raise InputError for a split or a crop that does not exist."""
    if split not in SPLITS:
        raise InputError(f"Unknown split {split!r}; expected one of {', '.join(SPLITS)}.")
    if embedding_crop not in CROPS:
        raise InputError(f"Unknown embedding_crop {embedding_crop!r}; expected one of {', '.join(CROPS)}.")


def official_path(data_path: str | Path, dataset_name: str, embedding_crop: str, split: str) -> Path:
    """Return the path a split has in the official layout."""
    return Path(data_path).expanduser() / dataset_name / embedding_crop / f"{split}_embeddings.pkl"


def find_split(data_path: str | Path, dataset_name: str, embedding_crop: str, split: str) -> Path | None:
    """Return the first file that exists for a split, or None.

    In this order: `{dataset}/{crop}/{split}_embeddings` with the ending .pkl, .npz or .npy; then, for data of one's
    own, `{dataset}/{split}` with .npz or .npy. An .npy has its labels in a .json beside it.
    """
    official = official_path(data_path, dataset_name, embedding_crop, split)
    plain = official.parent.parent / f"{split}.npz"
    candidates = [
        official,
        official.with_suffix(".npz"),
        official.with_suffix(".npy"),
        plain,
        plain.with_suffix(".npy"),
    ]
    return next((path for path in candidates if path.is_file()), None)
