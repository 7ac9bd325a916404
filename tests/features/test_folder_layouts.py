"""Every layout of a folder of images is recognised, and errors are named."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn_images import picture, write_classes

from leo_tf import InputError
from leo_tf.features.images import find_images
from leo_tf.features.images.folder_layouts import find_classes, split_classes
from leo_tf.files import write_text


def counts(found):
    return {split: (len(source.classes), len(source)) for split, source in found.splits.items()}


def test_folders_of_splits(split_folder):
    found = find_images(split_folder)
    assert counts(found) == {"train": (6, 36), "val": (3, 18), "test": (3, 18)}
    source = found.splits["val"]
    assert source.classes == ["c06", "c07", "c08"] and source.names[0] == "val/c06/0.png"
    assert source.read(0).startswith(b"\x89PNG") and not found.drawn


def test_class_folders_are_split_by_class(tmp_path):
    write_classes(tmp_path, range(10), images=2)
    found = find_images(tmp_path, "0.6,0.2,0.2", split_seed=3)
    assert counts(found) == {"train": (6, 12), "val": (2, 4), "test": (2, 4)} and found.drawn
    assert find_images(tmp_path, "0.6,0.2,0.2", 3).splits["val"].classes == found.splits["val"].classes
    assert find_images(tmp_path, "0.6,0.2,0.2", 4).splits["val"].classes != found.splits["val"].classes
    assert counts(find_images(tmp_path, "0,0,1")) == {"test": (10, 20)}
    with pytest.raises(InputError, match="10 classes that are not split; give split_fractions"):
        find_images(tmp_path)
    for wrong in ("0.5,0.5", "a,b,c", "0.5,0.4,0.2", "1.5,-0.5,0"):
        with pytest.raises(InputError, match="which sum to 1"):
            find_images(tmp_path, wrong)


def test_groups_are_not_split(tmp_path):
    for number, alphabet in enumerate(["Futurama", "Greek", "Tengwar"]):
        write_classes(tmp_path / alphabet, range(4 * number, 4 * number + 4), images=1)
    found = find_images(tmp_path, "0.67,0.33,0", 0)
    assert counts(found) == {"train": (8, 8), "val": (4, 4)}
    assert len({name.partition("/")[0] for name in found.splits["val"].classes}) == 1
    assert found.splits["val"].names[0].count("/") == 2


def test_every_fraction_gets_a_class_and_all_classes_are_used():
    names = [f"n{i}" for i in range(7)]
    chosen = split_classes(names, [0.9, 0.05, 0.05], seed=0)
    assert sorted(map(list(chosen.values()).count, ("train", "val", "test"))) == [1, 1, 5]
    with pytest.raises(InputError, match="2 classes cannot be split into train, val, test"):
        split_classes(names[:2], [0.5, 0.25, 0.25], seed=0)


def test_lists_of_files(tmp_path):
    write_classes(tmp_path / "images", range(4), images=2)
    for split, labels in {"train": [0, 1], "test": [2, 3]}.items():
        rows = "".join(f"c{label:02}/{n}.png,n{label}\n" for label in labels for n in range(2))
        (tmp_path / f"{split}.csv").write_text("filename,label\n" + rows)
    found = find_images(tmp_path)
    assert counts(found) == {"train": (2, 4), "test": (2, 4)} and found.splits["test"].classes == ["n2", "n3"]
    (tmp_path / "val.csv").write_text("filename,label\nno.png,n9\n")
    with pytest.raises(InputError, match=r"names 1 files that do not exist, first .*no\.png"):
        find_images(tmp_path)
    (tmp_path / "val.csv").write_text("file,label\n")
    with pytest.raises(InputError, match="no columns filename and label"):
        find_images(tmp_path)
    (tmp_path / "val.csv").write_text("filename,label\nc00/0.png,n2\n")
    with pytest.raises(InputError, match="class 'n2' is in both val and test"):
        find_images(tmp_path)


def arrays(labels, images=3):
    return np.stack([picture(label, n, 12) for label in labels for n in range(images)])


def test_cache_files(tmp_path):
    for split, labels in {"train": [0, 1], "val": [2, 3]}.items():
        content = {"image_data": arrays(labels), "class_dict": {f"n{k}": [3 * i, 3 * i + 1, 3 * i + 2] for i, k in
                   enumerate(labels)}}  # fmt: skip
        (tmp_path / f"mini-imagenet-cache-{split}.pkl").write_bytes(pickle.dumps(content))
    found = find_images(tmp_path)
    assert counts(found) == {"train": (2, 6), "val": (2, 6)}
    np.testing.assert_array_equal(found.splits["val"].read(4), picture(3, 1, 12))
    content["class_dict"]["n3"] = [3, 4]
    (tmp_path / "mini-imagenet-cache-val.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="row 5 is in no class"):
        find_images(tmp_path)
    (tmp_path / "mini-imagenet-cache-val.pkl").write_bytes(pickle.dumps(print))
    with pytest.raises(InputError, match="nothing was executed"):
        find_images(tmp_path)


def test_arrays_with_super_classes(tmp_path):
    np.savez(tmp_path / "train_images.npz", images=arrays([0, 1]))
    labels = {
        "label_specific": np.repeat([0, 1], 3),
        "label_general": np.repeat([1, 0], 3),
        "label_specific_str": ["corgi", "yawl"],
        "label_general_str": ["ship", "dog"],
    }
    (tmp_path / "train_labels.pkl").write_bytes(pickle.dumps(labels))
    assert find_images(tmp_path).splits["train"].classes == ["dog/corgi", "ship/yawl"]
    (tmp_path / "train_labels.pkl").write_bytes(pickle.dumps({"labels": np.repeat([4, 7], 3)}))
    assert find_images(tmp_path).splits["train"].classes == ["4", "7"]
    (tmp_path / "train_labels.pkl").write_bytes(pickle.dumps({"labels": [1]}))
    with pytest.raises(InputError, match="1 labels of 6 images"):
        find_images(tmp_path)
    (tmp_path / "train_labels.pkl").unlink()
    with pytest.raises(InputError, match=r"train_labels\.pkl is not beside it"):
        find_images(tmp_path)
    with zipfile.ZipFile(tmp_path / "train_images.npz", "w") as archive:
        archive.writestr("images.npy", b"nothing")
    (tmp_path / "train_labels.pkl").write_bytes(pickle.dumps(labels))
    with pytest.raises(InputError, match=r"train_images\.npz is corrupt"):
        find_images(tmp_path)


def test_unknown_layouts_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        find_images(tmp_path / "nowhere")
    write_classes(tmp_path / "a", [0, 1], images=1)
    (tmp_path / "a" / "c02").mkdir()
    with pytest.raises(InputError, match="c02 has no images"):
        find_images(tmp_path / "a", "0.5,0.5,0")
    write_classes(tmp_path / "b" / "c00", [1], images=1)
    (tmp_path / "b" / "c00" / "x.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"has both images and folders \(c01\)"):
        find_images(tmp_path / "b", "0,0,1")
    write_classes(tmp_path / "d" / "train", [0, 1], images=1)
    write_classes(tmp_path / "d" / "val", [1, 2], images=1)
    with pytest.raises(InputError, match="class 'c01' is in both train and val"):
        find_images(tmp_path / "d")
    with pytest.raises(InputError, match="is already split"):
        find_images(tmp_path / "d", "0.5,0.5,0")


def test_files_of_the_operating_system_are_ignored(tmp_path):
    write_classes(tmp_path, [0, 1], images=1)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "c00" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "c00" / "Thumbs.db").write_bytes(b"x")
    assert counts(find_images(tmp_path, "0,0,1")) == {"test": (2, 2)}


def test_links_are_followed_once_and_only_regular_files_are_read(tmp_path, caplog):
    photos = tmp_path / "photos"
    write_classes(photos, range(2), images=2)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (photos / "c00" / "0.png").rename(elsewhere / "blob")
    (photos / "c00" / "0.png").symlink_to(elsewhere / "blob")  # as the caches of model hubs are made
    os.mkfifo(photos / "c00" / "pipe.png")
    (photos / "c01" / "zero.png").symlink_to("/dev/zero")
    (photos / "c01" / "gone.png").symlink_to(tmp_path / "nowhere")
    for name in ("a_parent", "z_parent"):
        (photos / name).symlink_to(photos)
    (photos / "a_class").symlink_to(photos / "c01")
    found = find_classes(photos)
    assert {name: [file.name for file in files] for name, files in found.items()} == {
        "c00": ["0.png", "1.png"],
        "c01": ["0.png", "1.png"],
    }
    (line,) = caplog.messages
    assert line.startswith("Left out ") and line.endswith(" and 5 others.")


def test_a_folder_that_cannot_be_read_is_left_out(tmp_path, caplog, monkeypatch):
    write_classes(tmp_path, range(3), images=1)
    access = os.access  # of the superuser, who may run the tests, everything can be read
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "c01" and access(path, mode))
    assert find_classes(tmp_path).keys() == {"c00", "c02"}
    assert caplog.messages == [f"Left out {tmp_path / 'c01'} (it cannot be read)."]


def test_names_that_are_not_utf8_can_be_printed(tmp_path):
    write_classes(tmp_path, range(2), images=1)
    os.rename(tmp_path / "c00", os.fsencode(tmp_path) + b"/vo\xeftures")
    found = find_images(tmp_path, "0,0,1").splits["test"]
    assert found.classes == ["c01", "vo\\udceftures"] and found.names[1] == "vo\\udceftures/0.png"
    assert found.read(1).startswith(b"\x89PNG")
    write_text(tmp_path / "page.html", os.fsdecode(b"vo\xeftures"))
    assert (tmp_path / "page.html").read_text() == "vo\\udceftures"
