"""LEO in one screen: meta-train on the built-in letterforms with a visible loop, then test on unseen scripts.

python examples/minimal.py [STEPS]
"""

import sys

import keras
import tensorflow as tf

import leo_tf
from leo_tf import gradients

WAYS, SHOTS, QUERIES, TASKS = 5, 1, 15, 12


def main(steps=1000):
    """Meta-train for `steps` steps; return the test result."""
    train, test = (leo_tf.EmbeddingTable.load("", "glyphs", split) for split in ("train", "test"))
    sampler = leo_tf.EpisodeSampler(train, WAYS, SHOTS, QUERIES)
    config = leo_tf.LEOConfig(dropout_rate=0.1, kl_weight=0.01, orthogonality_penalty_weight=0.1)
    model = leo_tf.LEO(config, train.dim, seed=0)
    optimizer = keras.optimizers.Adam(0.001)
    optimizer.build(model.meta_variables)

    @tf.function
    def step(number):
        # An episode: TASKS tasks, each of WAYS classes with SHOTS support and QUERIES query examples.
        episode = sampler.sample(seed=0, first_task=TASKS * number, num_tasks=TASKS)
        with tf.GradientTape() as tape:
            # Encode the support, adapt the codes, decode, adapt the weights; then the loss on the queries.
            outcome = model.meta_loss(episode, training=True, seed=0, first_task=TASKS * number)
        values = tape.gradient(outcome.loss, [variable.value for variable in model.meta_variables])
        values, _ = gradients.guard(outcome.loss, values, model.meta_variables, len(model.regularized_weights))
        optimizer.apply(gradients.clip(values, value_limit=0.1, norm_limit=0.1), model.meta_variables)
        return outcome

    for number in range(steps):
        outcome = step(tf.constant(number, tf.int64))
        if (number + 1) % 50 == 0:
            accuracy = 100 * tf.reduce_mean(outcome.accuracy)
            print(f"step {number + 1}: loss {outcome.loss:.3f}, query accuracy {accuracy:.1f} %")

    result = leo_tf.evaluate(model, test, WAYS, SHOTS, num_tasks=1000)
    print(result)
    return result


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
