"""examples/inside_leo.py: it runs as a script, its cells make a notebook, and its figures show what its text says."""

import runpy
from pathlib import Path

import generate
import matplotlib
import network
import numpy as np
import pytest
from matplotlib import pyplot as plt

pytestmark = pytest.mark.long

NOTEBOOK = Path(__file__).parents[1] / "examples" / "inside_leo.py"
FIGURES = ["episode", "gaussians", "latent-steps", "probabilities", "steps"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the script; return its global names and the folder with its figures."""
    folder, backend = tmp_path_factory.mktemp("notebook"), matplotlib.get_backend()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDE_LEO_STEPS", "40")
        patch.chdir(folder)
        matplotlib.use("Agg")
        try:
            yield runpy.run_path(str(NOTEBOOK)), folder
        finally:
            plt.close("all")
            matplotlib.use(backend)


def test_every_figure_is_drawn(run):
    _, folder = run
    assert sorted(path.name for path in folder.iterdir()) == [f"inside_leo-{name}.png" for name in FIGURES]
    for path in folder.iterdir():
        pixels = plt.imread(path)
        assert pixels.std() > 0.05 and len(np.unique(pixels)) > 20


def test_drawn_letters_are_those_that_were_embedded(run):
    names, _ = run
    drawn = np.stack([[names["picture"](way, example) for example in (0, 1, 15)] for way in range(5)])
    embedded = network.embed(generate.load_embedder(), drawn).astype(np.float32)
    embedded /= np.linalg.norm(embedded, axis=-1, keepdims=True)
    support, queries = (part[0].numpy() for part in (names["episode"].support_x, names["episode"].query_x))
    shown = np.concatenate([support, queries[:, [0, 14]]], axis=1)
    np.testing.assert_allclose(np.sum(embedded * shown, axis=-1), 1, atol=1e-3)


def test_inner_steps_lower_the_loss_and_raise_accuracy(run):
    names, _ = run
    assert len(names["models"]) == 3
    for name in names["models"]:
        losses, accuracies = names["losses"][name], names["accuracies"][name]
        assert len(losses) == len(accuracies) == 11  # before, 5 latent, 5 fine-tuning
        assert losses[-1] < losses[5] < losses[1] < losses[0]
        assert accuracies[-1] > accuracies[0]
        assert accuracies[-1] > 25  # chance is 20


def test_inner_loops_agree_with_adapt_for_every_model(run):
    names, _ = run
    episode = names["episode"]
    for model in names["models"].values():
        adapted = model.adapt(episode.support_x, episode.support_y)
        np.testing.assert_allclose(names["inner_loops"](model, episode)[1][-1], adapted, rtol=1e-3, atol=1e-4)


def test_cells_are_valid_notebook_cells():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    first, *cells = text.split("# %%")
    assert first == ""
    for cell in cells:
        kind, _, body = cell.partition("\n")
        if kind == " [markdown]":
            assert all(line.startswith("#") for line in body.splitlines() if line)
        else:
            assert kind == ""
            compile(body, "cell", "exec")  # no statement spans two cells
