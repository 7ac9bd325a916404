"""The outer loop."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting, weight

DISTRIBUTIONS = ("auto", "none", "mirrored", "multi_worker")
DISTRIBUTION_HELP = (
    "auto: all GPUs if there are several; none; mirrored; multi_worker: this command on several machines, see workers"
)
JIT_MODES = ("auto", "on", "off")
SCHEDULES = ("constant", "cosine")
_MOST_TASKS = 100_000


@dataclass(frozen=True)
class TrainingConfig(Section):
    """The outer loop: batches, optimiser, gradient limits, validation, seed, devices."""

    group = "Optimisation"

    metatrain_batch_size: int = count(12, "tasks in a meta-training step, over all replicas", high=_MOST_TASKS)
    num_steps_limit: int = count(100_000, "meta-training steps", high=10**12)
    outer_lr: float = setting(1e-4, "learning rate of Adam", low=1e-30, high=1e30, expected="a finite number above 0")
    outer_lr_schedule: str = setting(
        "constant",
        "cosine: the learning rate of Adam falls to 0 at num_steps_limit along a half cosine",
        choices=SCHEDULES,
    )
    gradient_threshold: float = weight(0.1, "largest absolute value of a meta-gradient element; 0: no limit")
    gradient_norm_threshold: float = weight(0.1, "largest norm of a variable's meta-gradient; 0: no limit")
    metavalid_tasks: int = count(
        2000,
        "tasks of a validation, the same ones every time; 0: none, and the last checkpoint is the best",
        low=0,
        high=_MOST_TASKS,
        group="Run",
    )
    metavalid_ways: int = count(
        0, "classes in a validation task; 0: as in meta-training", low=0, high=10_000, group="Run"
    )
    metavalid_at_start: bool = setting(
        False,
        "validate before the first step too; the start stays the best until a state is better beyond a 95 % interval, "
        "paired over the validation tasks",
        group="Run",
    )
    metavalid_queries: int = count(0, "queries of a class in validation; 0: all remaining examples", low=0, group="Run")
    metavalid_batch_size: int = count(
        200, "tasks evaluated at once in validation (speed and memory only)", high=_MOST_TASKS, group="Run"
    )
    metatest_batch_size: int = count(
        200, "tasks evaluated at once in testing (speed and memory only)", high=_MOST_TASKS, group="Run"
    )
    checkpoint_steps: int = count(
        1000, "steps from one validation and checkpoint to the next", high=10**12, group="Run"
    )
    log_steps: int = count(50, "steps from one row of metrics to the next", high=10**12, group="Run")
    patience: int = count(
        0, "validations without a better one after which the run ends; 0: it goes on", low=0, high=10**12, group="Run"
    )
    seed: int = setting(
        0, "seed of everything random in the run", high=2**62, expected="a whole number from 0 to 2^62", group="Run"
    )
    metavalid_seed: int = setting(
        -1,
        "seed of the validation tasks, which runs of other seeds can share; -1: as seed",
        low=-1,
        high=2**62,
        expected="a whole number from 0 to 2^62, or -1",
        group="Run",
    )
    init_from: str = setting(
        "",
        "folder of a run whose best weights a new run begins with; what that run lacks keeps its initial values",
        group="Run",
    )
    distribution: str = setting("auto", DISTRIBUTION_HELP, choices=DISTRIBUTIONS, group="Run")
    jit: str = setting("auto", "compile with XLA; auto: as measured best", choices=JIT_MODES, group="Run")

    @property
    def validation_seed(self):
        """The seed of the validation tasks, int of at least 0."""
        return self.seed if self.metavalid_seed < 0 else self.metavalid_seed

    def __post_init__(self):
        super().__post_init__()
        require(self.metavalid_tasks != 1, self, "metavalid_tasks", "at least 2, for an interval, or 0 for none")
        require(self.metavalid_ways != 1, self, "metavalid_ways", "at least 2, or 0 for as many as in meta-training")
        if self.metavalid_at_start:
            require(self.metavalid_tasks, self, "metavalid_tasks", "at least 2 with metavalid_at_start")
        if self.patience:
            require(self.metavalid_tasks, self, "metavalid_tasks", "at least 2 with patience, which counts validations")
