"""Locations of a split's file: the official layout, a plain one, or the published archive."""

from pathlib import Path

from leo_tf.errors import InputError

SPLITS = ("train", "val", "test")
CROPS = ("center", "multiview")

_WITHOUT_DATA = "To try LEO without data of your own, run `make quickstart` or give dataset_name=glyphs."


def check_names(split: str, embedding_crop: str) -> None:
    """Raise InputError for a split or a crop that does not exist."""
    if split not in SPLITS:
        raise InputError(f"Unknown split {split!r}; expected one of {', '.join(SPLITS)}.")
    if embedding_crop not in CROPS:
        raise InputError(
            f"Unknown embedding_crop {embedding_crop!r}; expected one of {', '.join(CROPS)}.", "embedding_crop"
        )


def official_path(data_path: Path, dataset_name: str, embedding_crop: str, split: str) -> Path:
    """Return the path a split has in the official layout."""
    return data_path / dataset_name / embedding_crop / f"{split}_embeddings.pkl"


def find_split(data_path: Path, dataset_name: str, embedding_crop: str, split: str) -> Path | None:
    """Return the first existing file of a split, or None.

    The order is `{dataset}/{crop}/{split}_embeddings` with the extension .pkl, .npz or .npy, then, for your own data,
    `{dataset}/{split}` with .npz or .npy. The labels of an .npy are in a .json file beside it.
    """
    official = official_path(data_path, dataset_name, embedding_crop, split)
    plain = official.parent.parent / f"{split}.npz"
    candidates = [official, *map(official.with_suffix, (".npz", ".npy")), plain, plain.with_suffix(".npy")]
    return next((path for path in candidates if path.is_file()), None)


def locate_split(
    data_path: str | Path | None,
    dataset_name: str,
    embedding_crop: str,
    split: str,
    download: bool,
    cache_dir: str | Path | None,
) -> Path:
    """Return the file of a split; download a published data set that is missing.

    If `data_path` is empty, the file is in the folder that downloads are unpacked to. An InputError says where the file
    is expected and what to do.
    """
    if data_path and (path := find_split(Path(data_path).expanduser(), dataset_name, embedding_crop, split)):
        return path
    from leo_tf.data import download as published  # few runs need their HTTP client
    from leo_tf.data.transfer import UnreachableError

    root = Path(data_path).expanduser() if data_path else published.published_folder(cache_dir)
    expected = official_path(root, dataset_name, embedding_crop, split)
    if dataset_name not in published.PUBLISHED_CLASSES:
        raise InputError(
            f"{expected}: not found, nor an .npz or .npy in its place, nor {expected.parents[1] / split}.npz or .npy. "
            f"Check data_path and dataset_name. {_WITHOUT_DATA}",
            *("data_path", "dataset_name"),
        )
    reason = f"downloading is disabled. The published archive is {published.URL}"
    try:
        fetched = published.provide_published(cache_dir, download)
    except UnreachableError as error:
        fetched, reason = None, str(error)
    if fetched is None:
        raise InputError(
            f"{expected}: not found, and {reason}. Download the archive by other means and unpack it to this place. "
            f"{_WITHOUT_DATA}",
            *("data_path", "download"),
        )
    path = find_split(fetched, dataset_name, embedding_crop, split)
    if path is None:
        raise InputError(
            f"{expected}: not found, and the published archive has no {embedding_crop} embeddings of {dataset_name} "
            f"{split}. Use embedding_crop=center; multiview was published for miniImageNet only.",
            "embedding_crop",
        )
    return path
