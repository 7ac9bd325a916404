"""A command of many workers in this process, from the rendezvous to the exit status.

In training, the chief's Trainer gives commands, which the other workers carry out.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leo_tf.config.cluster import Cluster
from leo_tf.problem import Initialization, Validation
from leo_tf.training.distributed.collectives import BROADCAST_STATE, END, INITIALIZE, STEP, VALIDATE, Collectives
from leo_tf.training.distributed.connection import RESUME_HINT, WorkerLost, connect, report_errors
from leo_tf.training.signals import SignalCatcher
from leo_tf.training.work import Work

# Settings that may differ between workers: paths, and what only the chief uses.
_LOCAL_SETTINGS = frozenset(
    {
        *("data_path", "cache_dir", "download", "images", "init_from", "checkpoint_path", "extractor", "weights"),
        *("tasks", "write_tasks", "output", "compare_to", "seed_runs"),
    }
)
RERUN_HINT = "Give the same command to all workers again."
_logger = logging.getLogger("leo_tf")


def join(
    cluster: Cluster, settings: Mapping[str, Any], timeout: int, error: Sequence[str], hint: str = RESUME_HINT
) -> Collectives:
    """Connect this process to the other workers of a command, whose settings are compared unless they may differ.

    `error`, [message, *settings], says why the chief cannot start, and is empty if it can; `hint` what to do when a
    worker is lost; the timeout is as for `connect`.
    """
    from leo_tf import __version__

    compared = {name: value for name, value in settings.items() if name not in _LOCAL_SETTINGS}
    facts = {"leo_tf": __version__, "settings": compared, "error": list(error)}
    collectives = Collectives(cluster, connect(cluster, facts, timeout), timeout, hint)
    _logger.info("Running as %s of %d.", cluster.name(cluster.number), collectives.count)
    return collectives


def train_together(
    collectives: Collectives, make_work: Callable[[Collectives], Work], train: Callable[[Any], int]
) -> int:
    """Train with all workers; return the exit status. The chief calls `train`, the others follow its commands."""
    with report_errors(), collectives.detect_lost_workers():
        work = make_work(collectives)
    return ChiefWork(work, collectives).lead(train) if collectives.is_chief else run_worker(work, collectives)


def run_together(collectives: Collectives, share: Callable[[Collectives], Any], finish: Callable[[Any], int]) -> int:
    """Call `share` on all workers, and with its result `finish` on the chief; return the exit status."""
    with report_errors(), collectives.detect_lost_workers():
        result = share(collectives)
    if not collectives.is_chief:
        status = collectives.broadcast_command().argument
        print("Done with all workers; the results are on worker 0.")
        return status
    with report_errors(), collectives.detect_lost_workers():
        status = finish(result)
    with contextlib.suppress(WorkerLost):  # all results are written
        collectives.broadcast_command(END, status)
    return status


class ChiefWork:
    """Work of the chief, which the Trainer uses like any other Work, while all workers take part in it."""

    def __init__(self, work: Work, collectives: Collectives) -> None:
        self._work, self._collectives, self._state_is_shared = work, collectives, False
        self.signal = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def initialize(self, previous: Initialization | None = None) -> Initialization:
        self._collectives.broadcast_command(INITIALIZE)
        with self._collectives.detect_lost_workers():
            return self._work.initialize(previous)

    def step(self, count: int) -> dict[str, Any]:
        self._share_state()
        self.signal = self._collectives.broadcast_command(STEP, count).signal
        with self._collectives.detect_lost_workers():
            return self._work.step(count)

    @property
    def validate(self) -> Callable[[], Validation] | None:
        return self._validate if self._work.validate else None

    def _validate(self) -> Validation:
        self._share_state()
        self._collectives.broadcast_command(VALIDATE)
        with self._collectives.detect_lost_workers():
            return self._work.validate()  # type: ignore[misc]

    def _share_state(self) -> None:
        """Broadcast the state once, after it is initialised or restored."""
        if not self._state_is_shared:
            self._collectives.broadcast_command(BROADCAST_STATE)
            self._collectives.broadcast_variables(_variables(self._work))
            self._state_is_shared = True

    def lead(self, train: Callable[[Any], int]) -> int:
        """Call `train` with this work, then end the other workers with its exit status; return that."""
        with report_errors():
            status = train(self)
        self._share_state()  # so that the others know the step of a run that was complete before
        self._collectives.broadcast_command(END, status)
        return status


def run_worker(work: Work, collectives: Collectives) -> int:
    """Carry out the chief's commands until the run ends; return the exit status."""
    with SignalCatcher() as signals:
        while True:
            command = collectives.broadcast_command(signal=signals.received)
            if command.kind == END:
                if status := command.argument:
                    where = f"at step {work.steps_taken}, with all workers"
                    print(f"Stopped by signal {status - 128} {where}.", file=sys.stderr)
                else:
                    print(f"Trained to step {work.steps_taken} with all workers; the run is on worker 0.")
                return status
            with report_errors(), collectives.detect_lost_workers():
                if command.kind == INITIALIZE:
                    work.initialize()
                elif command.kind == BROADCAST_STATE:
                    collectives.broadcast_variables(_variables(work))
                elif command.kind == STEP:
                    work.step(command.argument)
                else:
                    work.validate()  # type: ignore[misc]


def _variables(work: Work) -> list[Any]:
    """Return the variables of a work's state, in the same order on all workers."""
    return [variable for name in sorted(work.state) for variable in work.state[name].variables]
