"""What asha would have done to trials that were all trained to the end."""

from typing import NamedTuple

import optuna
from optuna.trial import TrialState

_BEST = 5


class Replay(NamedTuple):
    """What a pruner would have stopped."""

    trials: int
    stopped: tuple[int, ...]  # numbers of trials
    best: tuple[int, ...]  # numbers of the best trials, the best first
    saved: float  # share of all steps that it would have saved

    @property
    def lost(self):
        """The best trials that it would have stopped, their numbers."""
        return tuple(number for number in self.best if number in self.stopped)


def replay(trials, pruner, direction, at_once):
    """Run a pruner over the recorded validations of finished trials, as they would have come in.

    Args:
      trials: optuna.trial.FrozenTrial of COMPLETE, with intermediate values, in the order in which they were begun.
      pruner: Optuna's pruner.
      direction: Optuna's word.
      at_once: trials that run at the same time, each validation taking as long.

    Returns:
      Replay.
    """
    trials = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.intermediate_values]
    study = optuna.create_study(direction=direction, pruner=pruner)
    waiting, taken = list(trials), 0
    running: list[tuple] = []
    stopped: set[int] = set()
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append((waiting[0], study.ask(), sorted(waiting.pop(0).intermediate_values.items())))
        for each in list(running):
            recorded, trial, left = each
            step, value = left.pop(0)
            taken += 1
            trial.report(value, step)
            if left and trial.should_prune():
                stopped.add(recorded.number)
                study.tell(trial, state=TrialState.PRUNED)
                running.remove(each)
            elif not left:
                study.tell(trial, value)
                running.remove(each)
    ranked = sorted(trials, key=lambda trial: trial.value, reverse=direction == "maximize")
    everything = sum(len(trial.intermediate_values) for trial in trials)
    best = tuple(trial.number for trial in ranked[:_BEST])
    return Replay(len(trials), tuple(sorted(stopped)), best, 1 - taken / everything if everything else 0.0)
