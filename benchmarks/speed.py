"""Time meta-training, evaluation and sampling, beside the naive formulation, in turns.

python benchmarks/speed.py --settings mini_1shot --rounds 5
"""

import argparse
import json
import platform
import resource
from pathlib import Path
from typing import Any

import cases
import tensorflow as tf
from measuring import Case, ratio, summarize, time_in_turns

from leo_tf.data import EmbeddingTable
from leo_tf.evaluation import plots

_TASKS, _NAIVE_TASKS = 200, 20  # in a batch of an evaluation
_VARIED = {
    "meta_batch": [3, 6, 12, 24, 48],
    "ways": [2, 5, 10, 20],
    "shots": [1, 2, 5, 10],
    "latent_steps": [1, 3, 5, 10],
}


def main() -> None:
    """Parse the command line, time each setting, print the tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=cases.SETTINGS, default=list(cases.SETTINGS))
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each of which times everything in turn")
    parser.add_argument("--steps", type=int, default=20, help="training steps per round")
    parser.add_argument("--data_path", help="folder of a data set to use instead of synthetic embeddings")
    parser.add_argument("--dataset_name", default="miniImageNet", help="data set in --data_path")
    parser.add_argument("--scaling", type=Path, help="PNG for a plot of time against the sizes of a task")
    parser.add_argument("--output", type=Path, help="JSON file for the measurements")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {tf.config.list_physical_devices()[-1].device_type}, TensorFlow {tf.__version__}"
    print(f"{machine}; milliseconds: median (lowest to highest) of {arguments.rounds} rounds")
    results: dict[str, Any] = {"machine": machine}
    results["settings"] = {name: measure(name, arguments) for name in arguments.settings}
    results["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {results['peak_memory_mb']:.0f} MB")
    if arguments.scaling:
        results["scaling"] = plot_scaling(arguments.scaling, arguments.rounds, arguments.steps)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Time a setting, print the times and return them with the ratios to the naive formulation."""
    setting, steps = cases.SETTINGS[name], arguments.steps
    print(f"\n{name}: {setting.ways}-way {setting.shots}-shot, meta-batch {setting.meta_batch}", flush=True)
    table = _table(arguments, "train", setting.train_classes, setting.rows)
    training = {
        "training step, jit on": (cases.training(setting, table, "on"), steps),
        "training step, jit off": (cases.training(setting, table, "off"), steps),
        "sampling alone": (cases.sampling(setting, table), steps),
        "training step, naive": (cases.naive_training(setting, table), max(1, steps // 2)),
    }
    milliseconds, result = _time_and_print(training, arguments.rounds)
    table = _table(arguments, "test", setting.test_classes, setting.rows)
    ours, naive = f"evaluation, {_TASKS} tasks", f"evaluation, {_NAIVE_TASKS} tasks, naive"
    evaluation = {
        ours: (cases.evaluation(setting, table, _TASKS), 4),
        naive: (cases.naive_evaluation(setting, table, _NAIVE_TASKS), 10),
    }
    found, times = _time_and_print(evaluation, arguments.rounds)
    milliseconds |= found
    result |= times
    result["evaluation_tasks_per_second"] = 1000 * _TASKS / result[ours]["median"]
    result["training_ratio"] = ratio(milliseconds["training step, naive"], milliseconds["training step, jit on"])
    result["evaluation_ratio"] = ratio(milliseconds[naive], milliseconds[ours]) * _TASKS / _NAIVE_TASKS
    print(
        f"  evaluation: {result['evaluation_tasks_per_second']:.0f} tasks/s; speed relative to the naive formulation: "
        f"training {result['training_ratio']:.1f}x, evaluation {result['evaluation_ratio']:.0f}x",
        flush=True,
    )
    return result


def _table(arguments: argparse.Namespace, split: str, classes: int, rows: int) -> EmbeddingTable:
    if arguments.data_path:
        return EmbeddingTable.load(arguments.data_path, arguments.dataset_name, split)
    return cases.synthetic_table(classes, rows)


def _time_and_print(
    timed: dict[str, tuple[Case, int]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, dict[str, float]]]:
    milliseconds = time_in_turns(
        {label: case for label, (case, _) in timed.items()},
        {label: units for label, (_, units) in timed.items()},
        rounds,
    )
    result = {}
    for label, each in milliseconds.items():
        times, first = summarize(each), timed[label][0].seconds_to_first
        result[label] = {**times._asdict(), "seconds_to_first": first}
        print(f"  {label:30} {times.median:9.2f} ({times.low:.2f} to {times.high:.2f})   first after {first:.1f} s")
    return milliseconds, result


def plot_scaling(path: Path, rounds: int, steps: int) -> dict[str, dict[int, float]]:
    """Time training steps of 5-way 1-shot tasks with one size varied at a time, and plot the milliseconds.

    Returns:
      {size: {its value: median milliseconds}}.
    """
    base = cases.SETTINGS["mini_1shot"]
    table = cases.synthetic_table(base.train_classes, 60)
    figure = plots.new_figure(12, 3)
    axes = figure.subplots(1, len(_VARIED), sharey=True)
    measured = {}
    for axis, (name, numbers) in zip(axes, _VARIED.items(), strict=True):
        timed = {str(n): cases.training(base._replace(**{name: n}), table, "auto") for n in numbers}
        milliseconds = time_in_turns(timed, dict.fromkeys(timed, steps), rounds)
        measured[name] = {n: summarize(milliseconds[str(n)]).median for n in numbers}
        axis.plot(numbers, list(measured[name].values()), marker="o")
        axis.set_xlabel(name.replace("_", " "))
    axes[0].set_ylabel("training step, ms")
    axes[0].set_ylim(bottom=0)  # shared by all, so not before the last is drawn
    path.write_bytes(plots.png(plots.finished(figure)))
    return measured


if __name__ == "__main__":
    main()
