"""The built-in data set, and the generator in tools/glyphs that still reproduces it."""

import importlib.resources
import sys
from itertools import combinations

import characters
import contact_sheet
import fonts
import generate
import lookalikes
import network
import numpy as np
import pytest
from render import render, render_class

from leo_tf.data import glyphs
from leo_tf.errors import InputError

pytestmark = pytest.mark.long

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def splits():
    return {split: glyphs.load_split(split) for split in glyphs.SPLITS}


@pytest.fixture(scope="module")
def classes(splits):
    """Class names of each split, in order."""
    return {split: list(dict.fromkeys(labels)) for split, (_, labels) in splits.items()}


def code_point_of(label):
    return int(label.partition("/U+")[2].split()[0], 16)


def test_splits_have_enough_classes_and_examples(splits, classes):
    for embeddings, labels in splits.values():
        assert embeddings.dtype == np.float16 and embeddings.shape == (len(labels), 128)
        assert np.isfinite(embeddings).all() and np.linalg.norm(embeddings.astype(np.float32), axis=1).min() > 0
        assert min(labels.count(label) for label in set(labels)) >= 40
    assert len(classes["train"]) >= 200 and len(classes["val"]) >= 40 and len(classes["test"]) >= 60


def test_splits_share_no_class_and_no_script(classes):
    for one, other in combinations(classes.values(), 2):
        assert not set(one) & set(other)
        assert not {label.partition("/")[0] for label in one} & {label.partition("/")[0] for label in other}


def test_description_counts_the_classes(classes):
    counts = glyphs.load_description()["classes"]
    assert {split: sum(scripts.values()) for split, scripts in counts.items()} == {
        split: len(names) for split, names in classes.items()
    }


def test_package_data_is_small():
    files = [entry for entry in importlib.resources.files(glyphs).iterdir() if entry.name.endswith((".npz", ".json"))]
    assert len(files) == 5
    assert sum(len(entry.read_bytes()) for entry in files) <= 12 * MEBIBYTE


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match=r"no split 'valid'; it is one of train, val, test"):
        glyphs.load_split("valid")


def test_difficulty_of_the_tasks(splits):
    """Nearest class mean, implemented independently: unit length, Euclidean, all other examples as queries."""
    embeddings = splits["test"][0].astype(np.float64).reshape(-1, 40, 128)
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    random = np.random.RandomState(7)
    accuracies = []
    for _ in range(400):
        task = np.stack([embeddings[c][random.permutation(40)] for c in random.permutation(len(embeddings))[:5]])
        distances = np.linalg.norm(task[:, 1:, None] - task[:, 0], axis=-1)
        accuracies.append(np.mean(distances.argmin(-1) == np.arange(5)[:, None]))
    accuracy = 100 * np.mean(accuracies)
    assert 50 < accuracy < 75
    # The description's figure, of other tasks.
    assert accuracy == pytest.approx(
        glyphs.load_description()["test_accuracy_percent"]["nearest_class_mean_5way_1shot"], abs=2.0
    )


def test_regenerated_sample_matches_the_shipped_embeddings(splits, classes):
    embedder = generate.load_embedder()
    for split, (embeddings, _) in splits.items():
        numbers = range(0, len(classes[split]), len(classes[split]) // 6)
        images = [render_class(generate.SEED, code_point_of(classes[split][n]), 3, 10) for n in numbers]
        regenerated = network.embed(embedder, np.stack(images)).astype(np.float64)
        shipped = embeddings.astype(np.float64).reshape(-1, generate.EXAMPLES, 128)[list(numbers), 3:13]
        norms = np.linalg.norm(regenerated, axis=-1) * np.linalg.norm(shipped, axis=-1)
        assert ((regenerated * shipped).sum(-1) / norms).min() > 0.999
        # FreeType may hint a little differently from version to version.
        np.testing.assert_allclose(regenerated, shipped, atol=0.05 * np.abs(shipped).max())


def test_rendering_is_a_pure_function_of_seed_character_and_number():
    first = render(1, ord("ը"), 5)
    assert first.shape == (28, 28) and first.dtype == np.uint8 and first.max() > 128
    render(2, ord("Ж"), 0)
    np.testing.assert_array_equal(render(1, ord("ը"), 5), first)
    for other in (render(2, ord("ը"), 5), render(1, ord("ը"), 6), render(1, ord("Ժ"), 5)):
        assert (other != first).any()


def test_no_two_classes_look_alike(classes):
    labels = classes["val"] + classes["test"] + classes["train"][::4]
    vectors = np.stack(
        [lookalikes.normalised(fonts.master(code_point_of(label), fonts.CANONICAL_FACE)) for label in labels]
    )
    alike = vectors @ vectors.T - 2 * np.eye(len(labels))
    assert alike.max() <= lookalikes.THRESHOLD + 0.01  # FreeType's version, again


def test_first_of_several_lookalikes_is_kept():
    # Latin A and B, Greek Alpha, Cyrillic A, Cyrillic Zhe, Latin C and c.
    shapes = [fonts.master(ord(letter), fonts.CANONICAL_FACE) for letter in "AB\u0391\u0410\u0416Cc"]
    assert lookalikes.without_lookalikes(shapes) == [0, 1, 4, 5]


def test_composed_characters_and_marks_are_excluded():
    candidates = {character.code_point for character in characters.candidates()}
    assert {ord(letter) for letter in "AЖאა"} <= candidates
    assert not {ord("É"), 0x0301, ord("ﬁ"), ord("+"), ord(" ")} & candidates


def test_classes_are_drawn_in_several_typefaces():
    assert len(fonts.faces_of(ord("A"))) == 21 and fonts.faces_of(ord("A"))[0] == "DejaVuSans"
    assert len(fonts.faces_of(ord("Ա"))) == 12


def test_contact_sheet_shows_every_split(monkeypatch, classes):
    members = [
        characters.Character(split, label.partition("/")[0], code_point_of(label))
        for split, labels in classes.items()
        for label in labels
    ]
    assert [member.label for member in members[:3]] == classes["train"][:3]
    monkeypatch.setattr(contact_sheet, "select", lambda: members)
    assert contact_sheet.contact_sheet(0).shape == (3 * 12 * 28 + 2 * 6, 20 * 28)


def test_weights_of_another_network_are_refused():
    weights = glyphs.load_weights()
    weights["block_1_convolution/kernel"] = np.zeros((3, 3, 32, 7), np.float32)
    with pytest.raises(InputError, match=r"differ in block_1_convolution/kernel.*--retrain"):
        network.set_weights(network.build_embedder(), weights)


@pytest.mark.parametrize(("module", "package"), [("matplotlib", "matplotlib"), ("PIL", "Pillow")])
def test_missing_package_is_named_with_its_install_command(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"Rendering the glyphs needs {package}, .*: pip install {package}\."):
        fonts.require_fonts()


def test_command_exits_with_2_if_the_folder_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert generate.main([f"--output={tmp_path / 'file'}"]) == 2
    assert "Cannot write" in capsys.readouterr().err
