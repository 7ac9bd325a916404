"""One run of many workers: the chief's Trainer leads, the others follow."""

import contextlib
import sys

from leo_tf.training.distributed.collectives import END, STATE, STEPS, VALIDATE
from leo_tf.training.distributed.connection import telling
from leo_tf.training.signals import SignalCatcher


class ChiefWork:
    """Work, on the chief, of which all workers take every step; for the Trainer it is work like any other.

    Args:
      work: as for Trainer.
      collectives: Collectives.
    """

    def __init__(self, work, collectives):
        self._work, self._collectives, self._is_shared = work, collectives, False
        self.signal = 0  # that another worker received

    def __getattr__(self, name):
        return getattr(self._work, name)

    def step(self, count):
        """Take `count` steps together; returns what the work's own `step` does.

        Raises:
          WorkerLost: another worker ended.
        """
        self._share()
        self.signal = self._collectives.broadcast_command(STEPS, count).signal
        with self._collectives.watched():
            return self._work.step(count)

    @property
    def validate(self):
        """Judge the state as it is, together; None where nothing is validated."""
        return self._validate if self._work.validate else None

    def _validate(self):
        self._share()
        self._collectives.broadcast_command(VALIDATE)
        with self._collectives.watched():
            return self._work.validate()

    def _share(self):
        """Give the others the state, once it is restored or begun."""
        if not self._is_shared:
            self._collectives.broadcast_command(STATE)
            self._collectives.broadcast_variables(shared_variables(self._work))
            self._is_shared = True

    @contextlib.contextmanager
    def leading(self):
        """Tell the others how the block, the run, ends; status is what the block appends to the list that it gets."""
        status: list[int] = []
        with telling():
            yield status
        self._share()  # nothing, unless the run was at its end before
        self._collectives.broadcast_command(END, status[-1])


def run_worker(work, collectives):
    """Do as the chief says until the run ends; returns the exit status.

    Raises:
      WorkerLost: another worker ended; the message is what that one said, if it said anything.
    """
    with SignalCatcher() as signals:
        while True:
            order = collectives.broadcast_command(signal=signals.received)
            if order.what == STATE:
                collectives.broadcast_variables(shared_variables(work))
            elif order.what == STEPS:
                with telling(), collectives.watched():
                    work.step(order.number)
            elif order.what == VALIDATE:
                with telling(), collectives.watched():
                    work.validate()
            else:
                _say_the_end(work, order.number)
                return order.number


def _say_the_end(work, status):
    if status:
        print(f"Stopped by signal {status - 128} at step {work.steps_taken}, with all workers.", file=sys.stderr)
    else:
        print(f"Trained to step {work.steps_taken} with all workers; the run is on worker 0.")


def shared_variables(work):
    """Return the variables of a work's state, in an order that all workers have."""
    return [variable for name in sorted(work.state) for variable in work.state[name].variables]
