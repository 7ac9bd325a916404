"""The built-in data set: what is shipped, and that the generator still makes it."""

import importlib.resources
import sys
from itertools import combinations

import numpy as np
import pytest

from leo_tf.data import glyphs
from leo_tf.errors import InputError

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def splits():
    return {split: glyphs.load_split(split) for split in glyphs.SPLITS}


@pytest.fixture(scope="module")
def classes(splits):
    """Class names of each split, in order."""
    return {split: list(dict.fromkeys(labels)) for split, (_, labels) in splits.items()}


@pytest.fixture(scope="module")
def generator():
    """The generator's modules; they need matplotlib's typefaces."""
    from leo_tf.features.glyphs import __main__, build, characters, fonts, lookalikes, network, render, sheet

    modules = (__main__, build, characters, fonts, lookalikes, network, render, sheet)
    return {module.__name__.rpartition(".")[2]: module for module in modules}


def code_point_of(label):
    return int(label.partition("/U+")[2].split()[0], 16)


def test_splits_have_the_counts_that_few_shot_tasks_need(splits, classes):
    for embeddings, labels in splits.values():
        assert embeddings.dtype == np.float16 and embeddings.shape == (len(labels), 128)
        assert np.isfinite(embeddings).all() and np.linalg.norm(embeddings.astype(np.float32), axis=1).min() > 0
        assert min(labels.count(label) for label in set(labels)) >= 40
    assert len(classes["train"]) >= 200 and len(classes["val"]) >= 40 and len(classes["test"]) >= 60


def test_no_class_and_no_script_is_in_two_splits(classes):
    for one, other in combinations(classes.values(), 2):
        assert not set(one) & set(other)
        assert not {label.partition("/")[0] for label in one} & {label.partition("/")[0] for label in other}


def test_the_description_counts_what_is_there(classes):
    counts = glyphs.load_description()["classes"]
    assert {split: sum(scripts.values()) for split, scripts in counts.items()} == {
        split: len(names) for split, names in classes.items()
    }


def test_package_data_is_small():
    files = [entry for entry in importlib.resources.files(glyphs).iterdir() if entry.name.endswith((".npz", ".json"))]
    assert len(files) == 5
    assert sum(len(entry.read_bytes()) for entry in files) <= 12 * MEBIBYTE


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match=r"no split 'valid'; it is one of train, val, test"):
        glyphs.load_split("valid")


def test_tasks_are_neither_easy_nor_hopeless(splits):
    """Nearest class mean, written here anew: unit length, Euclidean, all other examples as queries."""
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


def test_a_regenerated_sample_matches_the_shipped_embeddings(generator, splits, classes):
    build, network, render = generator["build"], generator["network"], generator["render"]
    embedder = build.load_embedder()
    for split, (embeddings, _) in splits.items():
        numbers = range(0, len(classes[split]), len(classes[split]) // 6)
        images = [render.render_class(build.SEED, code_point_of(classes[split][n]), 3, 10) for n in numbers]
        regenerated = network.embed(embedder, np.stack(images)).astype(np.float64)
        shipped = embeddings.astype(np.float64).reshape(-1, build.EXAMPLES, 128)[list(numbers), 3:13]
        norms = np.linalg.norm(regenerated, axis=-1) * np.linalg.norm(shipped, axis=-1)
        assert ((regenerated * shipped).sum(-1) / norms).min() > 0.999
        # FreeType may hint a little differently from version to version.
        np.testing.assert_allclose(regenerated, shipped, atol=0.05 * np.abs(shipped).max())


def test_rendering_is_a_pure_function_of_seed_character_and_number(generator):
    render = generator["render"].render
    first = render(1, ord("ը"), 5)
    assert first.shape == (28, 28) and first.dtype == np.uint8 and first.max() > 128
    render(2, ord("Ж"), 0)
    np.testing.assert_array_equal(render(1, ord("ը"), 5), first)
    for other in (render(2, ord("ը"), 5), render(1, ord("ը"), 6), render(1, ord("Ժ"), 5)):
        assert (other != first).any()


def test_no_two_classes_look_alike(generator, classes):
    fonts, lookalikes = generator["fonts"], generator["lookalikes"]
    labels = classes["val"] + classes["test"] + classes["train"][::4]
    vectors = np.stack(
        [lookalikes.normalised(fonts.master(code_point_of(label), fonts.CANONICAL_FACE)) for label in labels]
    )
    alike = vectors @ vectors.T - 2 * np.eye(len(labels))
    assert alike.max() <= lookalikes.THRESHOLD + 0.01  # FreeType's version, again


def test_of_look_alikes_the_first_stays(generator):
    fonts, lookalikes = generator["fonts"], generator["lookalikes"]
    # Latin A and B, Greek Alpha, Cyrillic A, Cyrillic Zhe, Latin C and c.
    shapes = [fonts.master(ord(letter), fonts.CANONICAL_FACE) for letter in "AB\u0391\u0410\u0416Cc"]
    assert lookalikes.without_lookalikes(shapes) == [0, 1, 4, 5]


def test_composed_characters_and_marks_are_no_candidates(generator):
    candidates = {character.code_point for character in generator["characters"].candidates()}
    assert {ord(letter) for letter in "AЖאა"} <= candidates
    assert not {ord("É"), 0x0301, ord("ﬁ"), ord("+"), ord(" ")} & candidates


def test_a_class_is_drawn_in_several_typefaces(generator):
    faces_of = generator["fonts"].faces_of
    assert len(faces_of(ord("A"))) == 21 and faces_of(ord("A"))[0] == "DejaVuSans"
    assert len(faces_of(ord("Ա"))) == 12


def test_the_contact_sheet_shows_every_split(generator, monkeypatch, classes):
    sheet, characters = generator["sheet"], generator["characters"]
    members = [
        characters.Character(split, label.partition("/")[0], code_point_of(label))
        for split, labels in classes.items()
        for label in labels
    ]
    assert [member.label for member in members[:3]] == classes["train"][:3]
    monkeypatch.setattr(sheet, "select", lambda: members)
    assert sheet.contact_sheet(0).shape == (3 * 12 * 28 + 2 * 6, 20 * 28)


def test_weights_of_another_network_are_refused(generator):
    network = generator["network"]
    weights = glyphs.load_weights()
    weights["block_1_convolution/kernel"] = np.zeros((3, 3, 32, 7), np.float32)
    with pytest.raises(InputError, match=r"differ in block_1_convolution/kernel.*--retrain"):
        network.set_weights(network.build_embedder(), weights)


@pytest.mark.parametrize(("module", "package"), [("matplotlib", "matplotlib"), ("PIL", "Pillow")])
def test_without_matplotlib_or_pillow_the_message_says_how_to_get_it(generator, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"Rendering the glyphs needs {package}, .*: pip install {package}\."):
        generator["fonts"].require_fonts()


def test_the_command_ends_with_status_2_on_a_bad_folder(generator, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert generator["__main__"].main([f"--output={tmp_path / 'file'}"]) == 2
    assert "cannot be made" in capsys.readouterr().err
