"""Choose a layer on the validation alphabet: python layers.py DATA LAYER...

DATA/LAYER/{train,val}.npz are embeddings. Prints a table, then the name of the best layer.
"""

import sys
from typing import Any

from leo_tf.commands.logs import load_tensorflow

TASKS = 1000


def measure(data: str, layer: str) -> tuple[dict[str, Any], int]:
    """Return ({space: accuracy of nearest class mean in 20-way 1-shot tasks of the validation alphabet}, dim)."""
    from leo_tf.classification.baselines.feature_spaces import RAW, whitened_by
    from leo_tf.classification.baselines.nearest_mean import nearest_class_mean
    from leo_tf.classification.evaluator import Evaluator, sampler_of
    from leo_tf.classification.tasks import draw_from
    from leo_tf.data import EmbeddingTable, EpisodeSampler
    from leo_tf.evaluation.intervals import confidence_interval

    train, val = (EmbeddingTable.load(data, layer, split) for split in ("train", "val"))
    ways, found = min(20, val.num_classes), {}
    for name, space in {"raw": RAW, "whitened": whitened_by(train)}.items():
        table = space.of(val)
        tasks = draw_from(EpisodeSampler(table, ways, 1), table.digest, TASKS, 0)
        scores = Evaluator(lambda x, y: nearest_class_mean(x), sampler_of(table, tasks), 50).run_on(tasks)
        found[name] = confidence_interval(scores.accuracy)
    return found, train.dim


def main(data: str, layers: list[str]) -> None:
    found = {layer: measure(data, layer) for layer in layers}
    print(f"Nearest class mean, {TASKS} 20-way 1-shot tasks of the validation alphabet, accuracy:\n")
    print("| layer | dim | raw | whitened |\n|---|---|---|---|")
    for layer, (measured, dim) in found.items():
        print(f"| {layer} | {dim} | {' | '.join(each.percent() for each in measured.values())} |")
    print(f"\n{max(layers, key=lambda layer: found[layer][0]['whitened'].mean)}")


if __name__ == "__main__":
    load_tensorflow()
    main(sys.argv[1], sys.argv[2:])
