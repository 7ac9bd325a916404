"""LEO in NumPy float64, written a second time: PAPER.md 1.3 step by step, one task, one pair, one copy at a time.

Nothing here is shared with leo_tf, nothing is rearranged for speed, and the gradients of the inner loops are derived by
hand. Numbers in brackets are the items of PAPER.md 1.3. Noise is given, as attributes named as in
leo_tf.classification.noise.Noise.
"""

import numpy as np


def encode(support, projection, relation):
    """Raw relation codes [ways, 2 * latents] of a support set [ways, shots, dim] (2, 3)."""
    ways, shots, dim = support.shape
    codes = support.reshape(ways * shots, dim) @ projection
    outputs = np.empty((ways * shots, ways * shots, relation[2].shape[1]))
    for i, left in enumerate(codes):
        for j, right in enumerate(codes):
            hidden = np.maximum(np.concatenate([left, right]) @ relation[0], 0)
            hidden = np.maximum(hidden @ relation[1], 0)
            outputs[i, j] = hidden @ relation[2]
    return outputs.mean(axis=1).reshape(ways, shots, -1).mean(axis=1)


def split(raw, offset):
    """Mean and standard deviation of raw outputs (4)."""
    mean, u = np.split(raw, 2, axis=-1)
    return mean, np.maximum(np.exp(u) - (1 - offset), 1e-10)


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    """[..., ways], [...] -> [...]."""
    probabilities = softmax(logits)
    return -np.log(np.take_along_axis(probabilities, labels[..., None], axis=-1)[..., 0])


def predict(examples, weights):
    """Logits [ways, n, ways] of examples [ways, n, dim] under weights [ways, copies, dim], averaged over copies (8)."""
    return np.einsum("ijd,lmd->ijlm", examples, weights).mean(axis=-1)


def weight_gradient(examples, labels, weights):
    """Gradient of the summed cross-entropy with respect to every copy of the weights (9)."""
    error = softmax(predict(examples, weights)) - np.eye(weights.shape[0])[labels]
    by_class = np.einsum("ijl,ijd->ld", error, examples)
    return np.repeat(by_class[:, None] / weights.shape[1], weights.shape[1], axis=1)


def decode(latents, decoder, noise, offset):
    """Weights [ways, copies, dim] and what their gradient needs (7); noise None decodes to the mean."""
    raw = latents @ decoder
    mean, stddev = split(raw, offset)
    u = raw[..., mean.shape[-1] :]
    if noise is None:
        return mean, np.zeros_like(mean)
    slope = np.where(np.exp(u) - (1 - offset) > 1e-10, np.exp(u), 0.0) * noise
    return mean + stddev * noise, slope


def latent_gradient(gradient, slope, decoder):
    """Pull a gradient with respect to the weights back through both heads of the decoder."""
    return np.concatenate([gradient, gradient * slope], axis=-1) @ decoder.T


def drop(examples, mask, keep_probability):
    return examples if mask is None else np.where(mask, examples / keep_probability, 0.0)


def task_terms(weights, support, support_y, query, query_y, noise, steps, keep_probability):
    """All terms of one task.

    Args:
      weights: the seven arrays in the model's order.
      support, query: [ways, shots | queries, dim], with labels [ways, shots | queries].
      noise: one task's noise, its fields without the axis of tasks; None for the deterministic pass.
      steps: (latent steps, fine-tuning steps).
      keep_probability: of the dropout masks.

    Returns:
      Dict: mean, stddev (of the codes), initial, latents, weights (all K copies), query_loss, accuracy, kl,
      encoder_penalty.
    """
    projection, *relation, decoder, latent_rate, weight_rate = weights
    latent_steps, weight_steps = steps
    ways, shots, dim = support.shape
    offset = np.sqrt(2 / (ways + dim))
    masks = None if noise is None else noise.support_masks

    def dropped(use):
        return support if masks is None else drop(support, masks[use], keep_probability)

    def decoded(latents, step):
        return decode(latents, decoder, None if noise is None else noise.weights[step], offset)

    raw = np.repeat(encode(dropped(0), projection, relation)[:, None], shots, axis=1)  # tiled to K copies
    mean, stddev = split(raw, 0.0)
    initial = mean if noise is None else mean + stddev * noise.latents  # (5)
    latents = initial
    theta, slope = decoded(latents, 0)
    for step in range(latent_steps):  # (10)
        gradient = weight_gradient(dropped(1 + step), support_y, theta)
        latents = latents - latent_rate * latent_gradient(gradient, slope, decoder)
        theta, slope = decoded(latents, step + 1)
    for step in range(latent_steps, latent_steps + weight_steps):  # (12)
        theta = theta - weight_rate * weight_gradient(dropped(1 + step), support_y, theta)

    if noise is not None:
        query = drop(query, noise.query_mask, keep_probability)
    logits = predict(query, theta)
    if noise is None:
        kl = penalty = 0.0
    else:
        # log q from the noise: (z - mean) / stddev would be rounding error where stddev is 1e-10, in float64 too.
        log_q = -np.log(stddev) - noise.latents**2 / 2 - np.log(2 * np.pi) / 2
        log_p = -(initial**2) / 2 - np.log(2 * np.pi) / 2
        kl = np.mean(log_q - log_p)  # (6)
        penalty = np.mean((latents - initial) ** 2)  # (11)
    return {
        "mean": mean[:, 0],
        "stddev": stddev[:, 0],
        "initial": initial,
        "latents": latents,
        "weights": theta,
        "query_loss": cross_entropy(logits, query_y).mean(),
        "accuracy": np.mean(logits.argmax(axis=-1) == query_y),
        "kl": kl,
        "encoder_penalty": penalty,
    }


def half_l2(matrices):
    """(14), without its weight."""
    return sum(np.sum(matrix**2) / 2 for matrix in matrices)


def orthogonality(decoder):
    """(15), without its weight."""
    total, rows = 0.0, len(decoder)
    for i in range(rows):
        for j in range(rows):
            norms = np.linalg.norm(decoder[i]) * np.linalg.norm(decoder[j])
            total += (decoder[i] @ decoder[j] / norms - (i == j)) ** 2
    return total / rows**2


def adapt_imbalanced(weights, support, labels, steps):
    """Classifier [ways, dim] of one task's support [examples, dim], in any order and number: an average over a class is
    over its own examples, everywhere."""
    projection, *relation, decoder, latent_rate, weight_rate = weights
    ways, dim = labels.max() + 1, support.shape[1]
    codes, sizes = support @ projection, np.bincount(labels)
    raw = np.zeros((ways, relation[2].shape[1]))
    for left, n in zip(codes, labels, strict=True):
        for right, m in zip(codes, labels, strict=True):
            hidden = np.maximum(np.concatenate([left, right]) @ relation[0], 0)
            raw[n] += np.maximum(hidden @ relation[1], 0) @ relation[2] / (ways * sizes[n] * sizes[m])
    latents, _ = split(raw, 0.0)
    mean_decoder = decoder[:, :dim]

    def gradient(theta):
        return ((softmax(support @ theta.T) - np.eye(ways)[labels]) / sizes[labels][:, None]).T @ support

    for _ in range(steps[0]):
        latents = latents - latent_rate * (gradient(latents @ mean_decoder) @ mean_decoder.T)
    theta = latents @ mean_decoder
    for _ in range(steps[1]):
        theta = theta - weight_rate * gradient(theta)
    return theta
