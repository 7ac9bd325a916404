"""Meta-training of a run's learner, as work for the Trainer."""

import keras
import numpy as np
import tensorflow as tf

from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.learners import ADAM_EPSILON
from leo_tf.runs.registry import problem_of
from leo_tf.training.step import MetaSteps, compiles, terms_of
from leo_tf.training.strategy import describe, strategy_of
from leo_tf.training.warm_start import begin, named_variables


class MetaTraining:
    """The learner, optimizer, tasks and validation of a RunConfig.

    What a Trainer asks of its work: `config`, with to_json, from_json and differences; `settings`, with
    num_steps_limit, checkpoint_steps, log_steps and patience; `data_record`; `measured`, a Problem or alike, with
    measure, higher_is_better, other_measures, text and advice; `state`, what checkpoints hold; `variables` and `rates`,
    by name, to be shown; `columns`, the names of what `step` returns; `steps_taken`, `step`; and `validate`, None where
    there is no validation. `settings` may have metavalid_at_start. It may have `warmup_steps`, so many that end with
    a validation and do not count for patience; `attachments`, files that the run keeps, {name in its folder: path};
    `start`, called before a run's first step, which says whether it changed the state; and `signal`, the number of a
    signal that has come from elsewhere and ends the run as one of its own would. Of many workers all call `step` and
    `validate`.

    Args:
      config: RunConfig.
      collectives: Collectives of many workers, all of which build this work; None for one.

    Raises:
      InputError: the data are missing, do not fit, or are others than another worker's.

    Example:
      >>> work = leo_tf.MetaTraining(
      ...     leo_tf.RunConfig(leo_tf.LEOConfig(1, 1), leo_tf.config.DataConfig(dataset_name="glyphs"))
      ... )
      >>> sorted(work.rates), work.steps_taken
      (['finetuning_learning_rate', 'latent_learning_rate'], 0)
    """

    def __init__(self, config, collectives=None):
        self.config, self.settings = config, config.training
        self.measured = self.problem = problem_of(config)
        self.data_record, self.attachments = self.problem.data_record, self.problem.attachments
        if collectives is not None:
            collectives.assert_equal(self.data_record)
        strategy = strategy_of(collectives, self.settings.distribution, self.settings.metatrain_batch_size)
        with strategy.scope():
            self.learner = self.problem.build_learner(self.data_record, self.settings.seed)
            sampler = self.problem.make_sampler(self.learner)
            learner, settings = self.learner, self.settings
            first, all_of_them = learner.warmup_variables, learner.meta_variables
            others = [each for each in all_of_them if all(each is not other for other in first)]
            self.optimizer = keras.optimizers.Adam(_learning_rate(settings, learner.warmup_steps), epsilon=ADAM_EPSILON)
            self.optimizer.build(others)
            self._first_optimizer = keras.optimizers.Adam(settings.outer_lr, epsilon=ADAM_EPSILON)
            self._first_optimizer.build(first)
        self.validate = self.problem.make_validator(learner, collectives or SINGLE_PROCESS)
        of_both = sampler, strategy, settings
        self._steps = MetaSteps(learner, self.optimizer, *of_both, others, learner.warmup_steps)
        self._first = MetaSteps(learner, self._first_optimizer, *of_both, first)
        self.state = {"model": learner, "optimizer": self.optimizer}
        if first:
            self.state["first_optimizer"] = self._first_optimizer
        self.columns = terms_of(self.learner)
        self._strategy = strategy

    @property
    def variables(self):
        """All trainable variables by name."""
        return named_variables(self.learner)

    @property
    def rates(self):
        """The learned learning rates by name."""
        return {rate.name: rate for rate in self.learner.learning_rates}

    @property
    def outer_lr(self):
        """The learning rate of Adam at this step, float."""
        return float(tf.convert_to_tensor(self.optimizer.learning_rate))

    def devices(self):
        """Say in one line what the run computes on and how."""
        precision, settings = self.learner.compute_dtype, self.settings
        line = f"{describe(self._strategy)}, {precision}, XLA {'on' if compiles(settings.jit) else 'off'}"
        if settings.distribution == "mirrored" and self._strategy.num_replicas_in_sync == 1:
            line += "; distribution=mirrored finds one device, and trains on it as distribution=none does"
        return line

    @property
    def warmup_steps(self):
        """So many first steps, in which the learner's `warmup_variables` alone learn."""
        return self.learner.warmup_steps

    @property
    def steps_taken(self):
        """Optimizer steps since the run's beginning, int."""
        return int(self._first_optimizer.iterations.numpy() + self.optimizer.iterations.numpy())

    def start(self):
        """Begin with the weights of the run that `init_from` names; return whether it names one.

        Raises:
          InputError: no trained run is there, or its weights do not fit.
        """
        if not self.settings.init_from:
            return False
        begin(self.learner, self.config)  # outside the scope: of many workers only the chief comes here
        return True

    def step(self, count):
        """Take `count` steps.

        Returns:
          Means over the steps of `columns`, floats, and `gradient_norms`, a NumPy array [variables].
        """
        left = self.learner.warmup_steps - self.steps_taken
        if not 0 < left < count:
            return self._take(count, self._first if left > 0 else self._steps)
        parts = [(left, self._take(left, self._first)), (count - left, self._take(count - left, self._steps))]
        return {name: sum(steps * means[name] for steps, means in parts) / count for name in parts[0][1]}

    def _take(self, count, steps):
        if steps is self._steps and self.optimizer.iterations == 0:  # training begins anew
            for variable in self.learner.warmup_variables:
                variable.assign(tf.zeros_like(variable))
        metrics = steps.run(tf.constant(count))
        norms = np.zeros(len(self.learner.meta_variables), np.float32)
        learning = [any(each is other for other in steps.variables) for each in self.learner.meta_variables]
        norms[learning] = metrics.pop("gradient_norms").numpy()
        return {**{name: float(value) for name, value in metrics.items()}, "gradient_norms": norms}


def _learning_rate(training, warmup_steps):
    if training.outer_lr_schedule == "cosine":
        steps = max(1, training.num_steps_limit - warmup_steps)
        return keras.optimizers.schedules.CosineDecay(training.outer_lr, steps)
    return training.outer_lr
