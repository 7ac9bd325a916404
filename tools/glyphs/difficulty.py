"""Accuracy of nearest class mean on the embeddings, plain and whitened: the difficulty before any meta-learning.

The gap between the two is what there is to learn from the meta-train classes: the directions in which examples of one
character differ.
"""

import numpy as np


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Scale embeddings [..., dim] to unit L2 norm, in float32."""
    embeddings = np.asarray(embeddings, np.float32)
    return embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)


def within_class_whitening(embeddings: np.ndarray, ridge: float = 0.1) -> np.ndarray:
    """Find the linear map under which examples of a class scatter alike in every direction.

    Args:
        embeddings: meta-train embeddings [classes, examples, dim].
        ridge: share of the mean variance added to every direction.

    Returns:
        Matrix [dim, dim], to multiply embeddings from the right.
    """
    residuals = (embeddings - embeddings.mean(axis=1, keepdims=True)).reshape(-1, embeddings.shape[-1])
    covariance = residuals.T @ residuals / len(residuals)
    variances, directions = np.linalg.eigh(covariance)
    return directions / np.sqrt(variances + ridge * variances.mean())


def nearest_class_mean_accuracy(
    embeddings: np.ndarray, ways: int = 5, shots: int = 1, tasks: int = 2000, seed: int = 0
) -> float:
    """Return the accuracy of classifying all other examples by the nearest support mean, averaged over random tasks.

    Args:
        embeddings: [classes, examples, dim], used as they are.
        ways: classes in a task.
        shots: support examples per class.
        tasks: number of tasks.
        seed: seed of the tasks.

    Returns:
        Accuracy in [0, 1].
    """
    generator = np.random.default_rng(seed)
    truth = np.arange(ways)[:, None]
    accuracies = []
    for _ in range(tasks):
        classes = generator.choice(len(embeddings), ways, replace=False)
        examples = generator.permuted(np.tile(np.arange(embeddings.shape[1]), (ways, 1)), axis=1)
        task = embeddings[classes[:, None], examples]
        means, queries = task[:, :shots].mean(axis=1), task[:, shots:]
        # |q - m|^2 without |q|^2, which is the same for every class.
        distances = (means**2).sum(-1) - 2.0 * queries @ means.T
        accuracies.append((distances.argmin(axis=-1) == truth).mean())
    return float(np.mean(accuracies))


def report(train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Measure 5-way test tasks in percent; train and test embeddings are [classes, examples, dim]."""
    train, test = normalised(train), normalised(test)
    whitened = test @ within_class_whitening(train)
    spaces = {"nearest_class_mean": test, "whitened_nearest_class_mean": whitened}
    return {
        f"{name}_5way_{shots}shot": round(100.0 * nearest_class_mean_accuracy(space, shots=shots), 2)
        for name, space in spaces.items()
        for shots in (1, 5)
    }
