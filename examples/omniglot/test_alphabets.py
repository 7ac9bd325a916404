"""Test within each alphabet: python test_alphabets.py RUN

1-shot tasks of 20 characters, or all if there are fewer, from one alphabet of the run's test split: the model and its
baselines on the same embeddings and tasks.
"""

import sys

import numpy as np

import leo_tf
from leo_tf.commands.logs import load_tensorflow
from leo_tf.runs.run_dir import RunDirectory

TASKS = 2000


def main(run: str) -> None:
    from leo_tf.classification.evaluation import evaluate, load_table

    model, data = leo_tf.load(run), RunDirectory(run).config().data
    table, rows = load_table(data, "test"), []
    for alphabet in sorted(set(table.class_groups)):
        characters = table.of_classes(lambda name, start=f"{alphabet}/": name.startswith(start))
        result = evaluate(model, characters, ways=min(20, characters.num_classes), num_tasks=TASKS)
        intervals = [result.accuracy, *result.baselines.values()]
        rows.append([f"{alphabet}, {result.ways}-way", [100 * (1 - each.mean) for each in intervals], intervals])
        names = ["ProtoLEO", *result.baselines]
    print(f"Error in 1-shot tasks within an alphabet, %, {TASKS} tasks each, 95 % intervals:\n")
    print(f"| | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for name, means, intervals in rows:
        cells = [f"{m:.2f} +- {100 * i.half_width:.2f}" for m, i in zip(means, intervals, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"| mean | {' | '.join(f'{value:.2f}' for value in np.mean([row[1] for row in rows], axis=0))} |")


if __name__ == "__main__":
    load_tensorflow()
    main(sys.argv[1])
