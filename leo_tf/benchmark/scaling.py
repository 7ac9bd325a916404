"""The cost of a training step against the shape of the task."""

from leo_tf.benchmark import cases, timing
from leo_tf.evaluation import plots
from leo_tf.files import write_bytes

_VARIED = {
    "meta_batch": [3, 6, 12, 24, 48],
    "ways": [2, 5, 10, 20],
    "shots": [1, 2, 5, 10],
    "latent_steps": [1, 3, 5, 10],
}


def plot_scaling(path, repeats, steps):
    """Time training steps of 5-way 1-shot tasks with one number varied at a time, and plot the milliseconds.

    Args:
      path: PNG to write.
      repeats, steps: as in the benchmark.

    Returns:
      {what is varied: {its value: median milliseconds}}.
    """
    plots.require_drawing()
    base = cases.SETTINGS["mini_1shot"]
    table = cases.synthetic_table(base.train_classes, 60)
    figure = plots.new_figure(12, 3)
    axes = figure.subplots(1, len(_VARIED), sharey=True)
    measured = {}
    for axis, (name, numbers) in zip(axes, _VARIED.items(), strict=True):
        timed = {n: cases.training(base._replace(**{name: n}), table, "auto") for n in numbers}
        rounds = timing.in_turns(timed, dict.fromkeys(timed, steps), repeats)
        measured[name] = {n: timing.summarize(times).median for n, times in rounds.items()}
        axis.plot(list(measured[name]), list(measured[name].values()), marker="o")
        axis.set_xlabel(name.replace("_", " "))
    axes[0].set_ylabel("training step, ms")
    axes[0].set_ylim(bottom=0)  # of all, which share it: not before the last is drawn
    write_bytes(path, plots.png(plots.finished(figure)))
    return measured
