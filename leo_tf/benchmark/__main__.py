"""Benchmark LEO on this machine: python -m leo_tf.benchmark"""

import platform
import resource
import sys
from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.files import require_writable, write_json

_SETTINGS = ("mini_1shot", "mini_5shot", "tiered_1shot", "tiered_5shot")
_PLAIN_EVALUATION_BATCH = 20


def main():
    """Define the flags, run, print the table."""
    flags.DEFINE_multi_enum("setting", list(_SETTINGS), _SETTINGS, "shapes to time")
    flags.DEFINE_integer("repeats", 5, "rounds, each of which times everything in turn")
    flags.DEFINE_integer("steps", 20, "training steps in a turn")
    flags.DEFINE_bool("plain", True, "time the plain map_fn formulation beside ours")
    flags.DEFINE_string("data_path", "", "take embeddings from here instead of synthetic ones")
    flags.DEFINE_string("dataset_name", "miniImageNet", "data set in --data_path")
    flags.DEFINE_bool("serving", True, "time requests to an exported model")
    flags.DEFINE_string("output", "", "write the measurements here as JSON")
    flags.DEFINE_string("scaling", "", "also plot cost against meta-batch, ways, shots and latent steps, to this PNG")
    flags.DEFINE_integer("images", 0, "instead: write so many JPEGs, time reading and embedding them", lower_bound=0)
    flags.DEFINE_integer(
        "load", 0, "instead: so many seconds of mixed requests by 16 threads to one exported model", lower_bound=0
    )
    about = "Time training, evaluation and serving on this machine, against a plain formulation, in turns."
    usage = "python -m leo_tf.benchmark"
    run_command(_benchmark, Command(about, usage, f"{usage} --setting=mini_1shot --repeats=5"))


def _benchmark():
    values = flags.FLAGS
    if values.repeats < 1 or values.steps < 1:
        raise InputError(f"--repeats={values.repeats} --steps={values.steps}; expected at least 1 of each.")
    for path in filter(None, [values.output, values.scaling]):
        require_writable(path)
    load_tensorflow()
    import tensorflow as tf

    machine = f"{platform.machine()}, {tf.config.list_physical_devices()[-1].device_type}, TensorFlow {tf.__version__}"
    results: dict[str, Any] = {"machine": machine, "settings": {}}
    if values.images or values.load:
        print(machine)
        if values.images:
            results["images"] = _measure_images(values.images)
        if values.load:
            results["load"] = _measure_load(values.load)
        if values.output:
            write_json(values.output, results)
        return 0
    print(f"{machine}; milliseconds: median (lowest to highest) of {values.repeats} rounds in turns")
    for name in dict.fromkeys(values.setting):
        results["settings"][name] = _measure(name, values)
    if values.serving:
        results["serving"] = _measure_serving(values)
    results["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {results['peak_memory_mb']:.0f} MB")
    if values.scaling:
        from leo_tf.benchmark.scaling import plot_scaling

        results["scaling"] = plot_scaling(Path(values.scaling), values.repeats, values.steps)
    if values.output:
        write_json(values.output, results)
    return 0


def _measure(name, values):
    from leo_tf.benchmark import cases, timing

    setting = cases.SETTINGS[name]
    table = _table(values, "train", setting.train_classes, setting.rows)
    timed = {
        "training step, jit on": (cases.training(setting, table, "on"), values.steps),
        "training step, jit off": (cases.training(setting, table, "off"), values.steps),
        "sampling alone": (cases.sampling(setting, table), values.steps),
    }
    if values.plain:
        timed["training step, plain"] = (cases.plain_training(setting, table), max(1, values.steps // 2))
    rounds = _rounds(timed, values.repeats)
    table = _table(values, "test", setting.test_classes, setting.rows)
    timed_evaluation = {"evaluation, 200 tasks": (cases.evaluation(setting, table), 4)}
    if values.plain:
        batch = _PLAIN_EVALUATION_BATCH
        timed_evaluation[f"evaluation, {batch} tasks, plain"] = (cases.plain_evaluation(setting, table, batch), 10)
    rounds |= _rounds(timed_evaluation, values.repeats)
    timed |= timed_evaluation

    print(f"\n{name}: {setting.ways}-way {setting.shots}-shot, meta-batch {setting.meta_batch}")
    result = {}
    for label, milliseconds in rounds.items():
        times, first = timing.summarize(milliseconds), timed[label][0].seconds_to_first
        result[label] = {**times._asdict(), "seconds_to_first": first}
        print(f"  {label:30} {times.median:9.2f} ({times.low:.2f} to {times.high:.2f})   first after {first:.1f} s")
    per_second = 1000 * 200 / result["evaluation, 200 tasks"]["median"]
    print(f"  evaluation: {per_second:.0f} tasks/s")
    result["evaluation_tasks_per_second"] = per_second
    if values.plain:
        result["training_ratio"] = timing.ratio(rounds["training step, plain"], rounds["training step, jit on"])
        batch = _PLAIN_EVALUATION_BATCH
        plain = [ms * 200 / batch for ms in rounds[f"evaluation, {batch} tasks, plain"]]
        result["evaluation_ratio"] = timing.ratio(plain, rounds["evaluation, 200 tasks"])
        print(
            f"  against the plain formulation: training {result['training_ratio']:.1f}x, "
            f"evaluation {result['evaluation_ratio']:.0f}x"
        )
    sys.stdout.flush()
    return result


def _measure_serving(values):
    from leo_tf.benchmark import serving

    measured = serving.measure(values.repeats, values.steps)
    print("\nserving, 640 dimensions, in this process: milliseconds an answer")
    for name, times in measured.items():
        if name != "load_seconds":
            print(
                f"  {name:30} {times['median']:9.2f} ({times['low']:.2f} to {times['high']:.2f})   "
                f"{times['tasks_per_second']:.0f} tasks/s"
            )
    return measured


def _measure_load(seconds):
    from leo_tf.benchmark import cases, load, serving

    loaded, _ = serving.loaded_model()
    found = load.measure({"in process": load.in_process(loaded.signatures)}, cases.DIM, seconds)
    print(load.text(found))
    return found


def _measure_images(count):
    from leo_tf.benchmark import extraction

    found = extraction.measure(count)
    print(
        f"{count:,} JPEGs of {extraction.WIDTH} x {extraction.HEIGHT}, {found['kilobytes']:.0f} kB each, through "
        f"{found['network']}, images/s:\n"
        f"  looking at them {found['inspected']:.0f}, embedding {found['extracted']:.1f}\n"
        f"  the network alone {found['network_alone']:.1f}, reading alone {found['reading_alone']:.1f}\n"
        f"memory, MB, after every tenth of the images: {', '.join(f'{each:.0f}' for each in found['megabytes'])}\n"
        f"  at most {found['megabytes_most']:.0f}; {found['megabytes_at_the_end']:.0f} when their file is written"
    )
    return found


def _rounds(timed, repeats):
    from leo_tf.benchmark import timing

    cases = {label: case for label, (case, _) in timed.items()}
    return timing.in_turns(cases, {label: units for label, (_, units) in timed.items()}, repeats)


def _table(values, split, classes, rows):
    from leo_tf.benchmark import cases
    from leo_tf.data import EmbeddingTable

    if values.data_path:
        return EmbeddingTable.load(values.data_path, values.dataset_name, split)
    return cases.synthetic_table(classes, rows)


if __name__ == "__main__":
    main()
