# %% [markdown]
# # Inside LEO
#
# This notebook follows one episode through every step of "Meta-Learning with Latent Embedding Optimization" (Rusu et
# al., ICLR 2019, [arXiv:1807.05960](https://arxiv.org/abs/1807.05960)). Equation numbers are the paper's.
#
# As a notebook: `make notebook`, then open `build/inside_leo.ipynb`. As a script: `python examples/inside_leo.py`.
# Without a screen, figures are written to the current folder. Both need matplotlib: `pip install -e '.[plots]'`.

# %%
import os
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.patches import Ellipse

import leo_tf
from leo_tf.data import glyphs

sys.path.append(f"{leo_tf.__path__[0]}/../tools/glyphs")  # needs a clone of the repository
from render import render

STEPS = int(os.environ.get("INSIDE_LEO_STEPS", "500"))  # meta-training steps
WAYS, SHOTS, QUERIES = 5, 1, 15
COLOURS = plt.rcParams["axes.prop_cycle"].by_key()["color"][:WAYS]


def show(figure, name):
    """Show a figure, or write it to a file if there is no screen."""
    figure.savefig(f"inside_leo-{name}.png") if plt.get_backend().lower() == "agg" else plt.show()


# %% [markdown]
# ## An episode
#
# The built-in data are letters; the scripts of the test split do not occur in the training split. A task has 5 classes
# ("ways"). The learner sees one example of each ("shots"), the *support*, and has to classify new ones, the *queries*.
# LEO sees embeddings of 128 numbers from a small convolutional network. Here we draw the letters behind them.

# %%
train, test = (leo_tf.EmbeddingTable.load("", "glyphs", split) for split in ("train", "test"))
sampler = leo_tf.EpisodeSampler(test, WAYS, SHOTS, QUERIES)
episode = sampler.sample(seed=1, first_task=0, num_tasks=200)
class_ids, rows = (part[0].numpy() for part in sampler.rows(seed=1, first_task=0, num_tasks=1))  # of the first task
names = [test.class_names[number].split(" ", 1)[1] for number in class_ids]  # of "georgian/U+10D9 GEORGIAN LETTER KAN"
letters = [chr(int(test.class_names[number].split("U+")[1].split()[0], 16)) for number in class_ids]


def picture(way, example):
    """Draw the letter behind an embedding of the first task, uint8 [28, 28]. Example 0 is the support."""
    number = rows[way, example] - test.class_offsets[class_ids[way]]
    return render(glyphs.load_description()["seed"], ord(letters[way]), number)


figure, axes = plt.subplots(WAYS, 9, figsize=(8, 5), layout="constrained")
for way, example in np.ndindex(axes.shape):
    axes[way, example].imshow(picture(way, example), cmap="gray_r")
    axes[way, example].set(xticks=[], yticks=[])
    axes[way, example].spines[:].set(color="lightgray" if example else COLOURS[way], linewidth=1 if example else 3)
for axis, name in zip(axes[:, 0], names, strict=True):
    axis.set_ylabel(name.replace(" LETTER ", "\n"), rotation=0, ha="right")
figure.suptitle("Left: the support. Right: some queries.")
show(figure, "episode")

# %% [markdown]
# ## Meta-training
#
# Each step draws 12 training tasks and runs everything below on each of them. It minimises equation 6: the loss of the
# adapted classifiers on the queries, plus penalties. The gradient goes back through every inner step
# (`examples/minimal.py` has the loop). Our first LEO has two-dimensional codes, so that we can draw its latent space.


# %%
def meta_train(**settings):
    """Train a LEO for STEPS steps on tasks of the training scripts."""
    tasks = leo_tf.EpisodeSampler(train, WAYS, SHOTS, QUERIES)
    meta_batches = tf.data.Dataset.range(STEPS).map(lambda i: tasks.sample(seed=0, first_task=12 * i, num_tasks=12))
    config = leo_tf.LEOConfig(dropout_rate=0.1, orthogonality_penalty_weight=0.1, **settings)
    model = leo_tf.LEO(config, train.dim, seed=0)
    model.compile(keras.optimizers.Adam(0.003), jit_compile=False)
    model.fit(meta_batches, shuffle=False, verbose=0)
    return model


flat = meta_train(num_latents=2, kl_weight=0.002)

# %% [markdown]
# ## The encoder's Gaussians: equation 3
#
# For each class, the encoder and the relation network give a Gaussian over the latent code. They compare the support
# examples of the class with those of every class, so that a code depends on what its class must be told apart from.
# In training, codes are sampled from the Gaussians; here their means are used. Try `kl_weight=0.01` above: the penalty
# then pulls so hard towards N(0, I) that all codes start almost in one place, and only the inner steps separate them.

# %%
posterior = flat.encode(episode.support_x)
means, deviations = posterior.mean()[0].numpy(), posterior.stddev()[0].numpy()


def draw(axis, places):
    """Draw the Gaussians of the first task, and the letter of each class at its place, [ways, 2]."""
    for mean, deviation, place, letter, colour in zip(means, deviations, places, letters, COLOURS, strict=True):
        for width in (1, 2):
            axis.add_patch(Ellipse(mean, *(2 * width * deviation), color=colour, alpha=0.15, linewidth=0))
        axis.text(*place, letter, color=colour, size=18, weight="bold", ha="center", va="center")
    axis.set(xlabel="latent dimension 1", ylabel="latent dimension 2")
    axis.margins(0.1)


figure, axis = plt.subplots(figsize=(5, 4.5), layout="constrained")
draw(axis, means)
axis.set_title("q(z | support): one and two standard deviations")
show(figure, "gaussians")

# %% [markdown]
# ## The inner loops: equations 4 and 5
#
# The decoder turns each code into the weights of a linear classifier (equation 4; we use the mean). Gradient descent
# then lowers the cross-entropy of the support (equation 5): first in the codes, decoded again at every step, then in
# the weights (fine-tuning, section 4.2.3). Learning rates are learned per dimension. `model.adapt` does just this.


# %%
def inner_loops(model, episode):
    """Return codes, classifiers and mean support losses, before the first step and after each one."""
    x, y = tf.squeeze(episode.support_x, axis=2), tf.squeeze(episode.support_y, axis=2)  # one shot

    def loss_of(classifier):
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model.classify(x, classifier)))

    codes = [model.encode(episode.support_x).mean()]
    for _ in range(model.config.inner_unroll_length):
        with tf.GradientTape() as tape:
            tape.watch(codes[-1])
            loss = loss_of(model.decode(codes[-1]).mean())
        codes.append(codes[-1] - model.latent_learning_rate * tape.gradient(loss, codes[-1]))
    classifiers = [model.decode(code).mean() for code in codes]
    for _ in range(model.config.finetuning_unroll_length):
        with tf.GradientTape() as tape:
            tape.watch(classifiers[-1])
            loss = loss_of(classifiers[-1])
        classifiers.append(classifiers[-1] - model.finetuning_learning_rate * tape.gradient(loss, classifiers[-1]))
    return codes, classifiers, [float(loss_of(classifier)) / tf.size(y).numpy() for classifier in classifiers]


codes, classifiers, _ = inner_loops(flat, episode)
np.testing.assert_allclose(classifiers[-1], flat.adapt(episode.support_x, episode.support_y), rtol=0.001, atol=0.001)
path = np.stack([code[0] for code in codes])  # of the first task: [steps, ways, 2]
figure, axis = plt.subplots(figsize=(5, 4.5), layout="constrained")
for way, colour in enumerate(COLOURS):
    axis.plot(*path[:, way].T, ".-", color=colour)
draw(axis, path[-1] + 0.12 * (path[-1] - path[0]))
axis.set_title("Five latent steps from the means of the encoder")
show(figure, "latent-steps")

# %% [markdown]
# ## How the classifier changes
#
# Two dimensions are few: the weights of all classes lie in one plane, the same for all tasks. So we train a second LEO
# with 64 dimensions, as in the paper, and look at the probabilities that its classifier assigns to the queries.

# %%
wide = meta_train(num_latents=64, kl_weight=0.01)
query_x, query_y = (tf.concat(tf.unstack(part, axis=1), axis=1) for part in (episode.query_x, episode.query_y))
classifiers = inner_loops(wide, episode)[1]
figure, axes = plt.subplots(1, 4, figsize=(8, 4), sharey=True, layout="constrained")
for axis, step in zip(axes, (0, 1, 5, 10), strict=True):
    axis.imshow(tf.nn.softmax(wide.classify(query_x, classifiers[step])[0]), aspect="auto", vmin=0, vmax=1)
    axis.set(title=f"step {step}", xticks=range(WAYS), xticklabels=letters)
axes[0].set(yticks=range(7, WAYS * QUERIES, QUERIES), yticklabels=letters, ylabel="queries, by class")
figure.suptitle("Class probabilities; steps 1 to 5 are latent, 6 to 10 fine-tuning")
show(figure, "probabilities")

# %% [markdown]
# ## Second-order gradients
#
# The inner steps lower the loss on the support. Meta-training is what makes them raise the accuracy on the queries: it
# differentiates through the inner gradients, so it knows where each step will lead. With `first_order=True` it treats
# them as constants; the forward pass is the same. After 500 steps, second order starts lower and ends higher.

# %%
models = {"2 dimensions": flat, "64 dimensions": wide}
models["64, first order"] = meta_train(num_latents=64, kl_weight=0.01, first_order=True)
losses, accuracies = {}, {}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for name, model in models.items():
    _, classifiers, losses[name] = inner_loops(model, episode)
    guesses = [tf.argmax(model.classify(query_x, weights), axis=2, output_type=tf.int32) for weights in classifiers]
    accuracies[name] = [100 * np.mean(guess == query_y) for guess in guesses]
    left.plot(losses[name], ".-", label=name)
    right.plot(accuracies[name], ".-", label=name)
    print(f"{name}: query accuracy {accuracies[name][0]:.1f} % before the steps, {accuracies[name][-1]:.1f} % after")
left.set(xlabel="inner step", ylabel="support loss, nats", title="Minimised: loss on the support, 200 test tasks")
right.set(xlabel="inner step", ylabel="query accuracy, %", title="Wanted: accuracy on the queries")
left.legend()
show(figure, "steps")
