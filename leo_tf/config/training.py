"""Settings of the outer loop."""

from dataclasses import dataclass

from leo_tf.config.section import Section, count, require, setting, weight

DISTRIBUTIONS = ("auto", "none", "mirrored", "multi_worker")
DISTRIBUTION_HELP = (
    "auto: all GPUs if there are several; none: one device; mirrored: all devices of this machine; multi_worker: "
    "several machines that run this command, see workers"
)
_OPTIMISATION = "Optimisation"
_MOST_TASKS, _MOST_STEPS, _MOST_SEED = 100_000, 10**12, 2**62


@dataclass(frozen=True)
class TrainingConfig(Section):
    """Settings of the outer loop: batches, optimizer, gradient clipping, validation, seed, devices."""

    group = "Run"

    metatrain_batch_size: int = count(
        12, "tasks per meta-training step, over all replicas", high=_MOST_TASKS, group=_OPTIMISATION
    )
    num_steps_limit: int = count(100_000, "meta-training steps", high=_MOST_STEPS, group=_OPTIMISATION)
    outer_lr: float = setting(
        1e-4, "learning rate of Adam", low=1e-30, high=1e30, expected="a finite number above 0", group=_OPTIMISATION
    )
    outer_lr_schedule: str = setting(
        "constant",
        "cosine: decay the learning rate of Adam to 0 at num_steps_limit along a half cosine",
        choices=("constant", "cosine"),
        group=_OPTIMISATION,
    )
    gradient_threshold: float = weight(
        0.1, "clip every element of the meta-gradient to this absolute value; 0: no clipping", _OPTIMISATION
    )
    gradient_norm_threshold: float = weight(
        0.1, "clip each variable's meta-gradient to this norm; 0: no clipping", _OPTIMISATION
    )
    metavalid_tasks: int = count(
        2000,
        "tasks per validation, always the same ones; 0: no validation, and the last checkpoint counts as the best",
        low=0,
        high=_MOST_TASKS,
    )
    metavalid_ways: int = count(0, "ways of validation tasks; 0: num_classes", low=0, high=10_000)
    metavalid_grid: bool = setting(
        False,
        "validate on tasks of few and many ways and of 1, 5 and 20 shots, as far as the data allow, in place "
        "of metavalid_ways; they share metavalid_tasks",
    )
    metavalid_at_start: bool = setting(
        False,
        "validate before the first step too; the initial state then stays the best until another one is better by more "
        "than the 95 % interval of the difference, paired over the validation tasks",
    )
    metavalid_queries: int = count(0, "queries per class in validation; 0: all remaining examples", low=0)
    metavalid_batch_size: int = count(
        200, "validation tasks evaluated at once (affects speed and memory only)", high=_MOST_TASKS
    )
    metatest_batch_size: int = count(
        200, "test tasks evaluated at once (affects speed and memory only)", high=_MOST_TASKS
    )
    checkpoint_steps: int = count(1000, "steps between validations, each followed by a checkpoint", high=_MOST_STEPS)
    log_steps: int = count(50, "steps between rows of metrics", high=_MOST_STEPS)
    patience: int = count(
        0, "stop after this many validations without improvement; 0 disables early stopping", low=0, high=_MOST_STEPS
    )
    seed: int = setting(
        0, "seed of all randomness in the run", high=_MOST_SEED, expected="a whole number from 0 to 2^62"
    )
    metavalid_seed: int = setting(
        -1,
        "seed of the validation tasks, so that runs with different seeds can share them; -1: same as seed",
        low=-1,
        high=_MOST_SEED,
        expected="a whole number from 0 to 2^62, or -1",
    )
    init_from: str = setting(
        "", "initialise from the best checkpoint of this run; variables that it lacks keep their initial values"
    )
    distribution: str = setting("auto", DISTRIBUTION_HELP, choices=DISTRIBUTIONS)
    jit: str = setting(
        "auto", "compile with XLA; auto: where it was measured to be faster", choices=("auto", "on", "off")
    )

    @property
    def validation_seed(self) -> int:
        """The seed of the validation tasks."""
        return self.seed if self.metavalid_seed < 0 else self.metavalid_seed

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.metavalid_tasks != 1, self, "metavalid_tasks", "at least 2, for an interval, or 0 for none")
        require(self.metavalid_ways != 1, self, "metavalid_ways", "at least 2, or 0 for num_classes")
        if self.metavalid_at_start:
            require(self.metavalid_tasks, self, "metavalid_tasks", "at least 2 with metavalid_at_start")
        if self.patience:
            require(self.metavalid_tasks, self, "metavalid_tasks", "at least 2 with patience, which counts validations")
