"""The card beside embeddings: which extractor made them of which images, and which classes it was trained on."""

from pathlib import Path

from leo_tf.errors import InputError
from leo_tf.files import read_json

FILES = ("card.json", "extractor.keras")


def find_card_folder(data_path, dataset_name, embedding_crop):
    """Return the folder of a data set's card; None if it has none."""
    if not data_path:
        return None
    root = Path(data_path).expanduser() / dataset_name
    places = [root / embedding_crop, root] if embedding_crop == "center" else [root / embedding_crop]
    return next((folder for folder in places if (folder / FILES[0]).is_file()), None)


def read_card(folder):
    """Return the card in a folder, a dict.

    Raises:
      InputError: it is damaged.
    """
    path, what = Path(folder) / FILES[0], "the card that leo_tf.features.extract writes"
    card = read_json(path, what)
    extractor = card.get("extractor", {}) if isinstance(card, dict) else None
    known = extractor.get("trained_on") if isinstance(extractor, dict) else 0
    if known is not None and not (isinstance(known, list) and all(isinstance(name, str) for name in known)):
        raise InputError(f"{path} is damaged or something else; expected {what}.")
    return card


def what_the_extractor_saw(card, class_names):
    """Say in one line that the extractor was trained on classes of a test, or may have been; empty if it was not.

    Args:
      card: of the embeddings.
      class_names: of the test.
    """
    extractor = card.get("extractor", {})
    known, name = extractor.get("trained_on"), extractor.get("name", "the extractor")
    if known is None:
        on = extractor.get("trained_on_note", "unknown classes")
        return (
            f"The embeddings are of {name}, trained on {on}: it may have seen the test classes, and then this is no "
            "test of new ones."
        )
    shared = sorted(set(known) & set(class_names))
    if not shared:
        return ""
    return (
        f"The embeddings are of {name}, which was trained on {len(shared)} of the {len(class_names)} test classes, as "
        f"{shared[0]!r}: this is no test of new classes."
    )
