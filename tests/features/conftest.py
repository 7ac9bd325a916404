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
