"""Copies of classes in extraction: turned and mirrored images under names and groups of their own."""

import numpy as np
from drawn_images import picture, write_classes

from leo_tf.features.images import find_images, inspect
from leo_tf.features.images.copies import changed, with_copies
from leo_tf.features.images.pixels import open_image, upright_rgb


def test_every_class_comes_once_more_for_each_copy(tmp_path):
    write_classes(tmp_path / "Greek", range(2), images=3)
    write_classes(tmp_path / "Latin", range(2, 4), images=3)
    plain = inspect(find_images(tmp_path, "0,0,1").splits)["test"]
    made = with_copies(plain, "rotations_and_mirrored")
    assert len(made.source) == 8 * 12 == len(made.digests) == len(set(made.digests)) == len(set(made.source.names))
    assert with_copies(plain, "none").source.labels == plain.source.labels
    assert made.source.labels[:12] == plain.source.labels and len(made.source.classes) == 32
    assert made.source.labels[12] == "Greek~1/c00" and made.source.names[12] == "Greek/c00/0.png~1"
    assert made.source.read(4) == plain.source.read(4)
    pixels = upright_rgb(open_image(plain.source.read(4)))
    np.testing.assert_array_equal(made.source.read(12 + 4), np.rot90(pixels))
    np.testing.assert_array_equal(made.source.read(6 * 12 + 4), np.rot90(pixels, 2)[:, ::-1])


def test_classes_without_groups_have_a_name_of_their_own(tmp_path):
    write_classes(tmp_path, range(2), images=2)
    made = with_copies(inspect(find_images(tmp_path, "0,0,1").splits)["test"], "rotations")
    assert made.source.classes == sorted(f"c0{n}{copy}" for n in range(2) for copy in ("", "~1", "~2", "~3"))


def test_one_image_and_a_batch_are_changed_alike():
    images = np.stack([picture(label, 0) for label in range(3)])
    for copy in range(8):
        np.testing.assert_array_equal(changed(images, copy)[1], changed(images[1], copy))
    eight = {changed(images[0], copy).tobytes() for copy in range(8)}
    assert len(eight) == 8


def test_pixels_in_memory_are_changed_too():
    from leo_tf.features.images.checks import Inspected
    from leo_tf.features.images.layouts import Source

    arrays = [picture(label, 0) for label in range(2)]
    made = with_copies(Inspected(Source(["a", "b"], ["x", "y"], arrays.__getitem__), [b"1", b"2"]), "rotations")
    np.testing.assert_array_equal(made.source.read(2), np.rot90(arrays[0]))
    assert len(made.source) == 8
