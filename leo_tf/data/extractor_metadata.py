"""Metadata beside embeddings: the extractor that made them, of which images, and the classes it was trained on."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from leo_tf.files import read_json
from leo_tf.files.reading import corrupt

METADATA_FILE, MODEL_FILE = "extractor.json", "extractor.keras"


def find_extractor(data_path: str | Path | None, dataset_name: str, embedding_crop: str) -> Path | None:
    """Return the folder with the files of the extractor that made a data set's embeddings; None if there is none."""
    if not data_path:
        return None
    root = Path(data_path).expanduser() / dataset_name
    folders = [root / embedding_crop, root] if embedding_crop == "center" else [root / embedding_crop]
    return next((folder for folder in folders if (folder / METADATA_FILE).is_file()), None)


def read_extractor_metadata(folder: str | Path) -> dict[str, Any]:
    """Read the metadata in a folder."""
    path, expected = Path(folder) / METADATA_FILE, "the extractor metadata that leo_tf.features.extract writes"
    metadata = read_json(path, expected)
    extractor = metadata.get("extractor", {})
    known = extractor.get("trained_on") if isinstance(extractor, dict) else 0
    if known is not None and not (isinstance(known, list) and all(isinstance(name, str) for name in known)):
        raise corrupt(path, "the extractor's trained_on is not a list of class names", expected)
    return metadata


def overlap_warning(metadata: Mapping[str, Any], test_classes: Collection[str]) -> str:
    """Return a warning if the extractor was, or may have been, trained on test classes; otherwise an empty string."""
    extractor = metadata.get("extractor", {})
    known, name = extractor.get("trained_on"), extractor.get("name", "an extractor")
    if known is None:
        return (
            f"The embeddings were made by {name}, trained on {extractor.get('trained_on_note', 'unknown classes')}. It "
            "may have seen the test classes; then this is not a test on new classes."
        )
    shared = sorted(set(known) & set(test_classes))
    if not shared:
        return ""
    return (
        f"The embeddings were made by {name}, which was trained on {len(shared)} of the {len(test_classes)} test "
        f"classes, for example {shared[0]!r}: this is not a test on new classes."
    )
