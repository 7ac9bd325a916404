"""Simulation of a pruner on completed trials: which it would have stopped, and how many steps it would have saved."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

_NUM_BEST = 5


class PrunerSimulation(NamedTuple):
    """Trials that a pruner would have stopped."""

    trials: int
    stopped: tuple[int, ...]  # numbers of trials
    best: tuple[int, ...]  # numbers of the best trials, the best first
    saved: float  # share of all steps

    @property
    def lost(self) -> tuple[int, ...]:
        """Numbers of the best trials that it would have stopped."""
        return tuple(number for number in self.best if number in self.stopped)


def simulate_pruner(
    trials: Sequence[FrozenTrial],
    pruner: optuna.pruners.BasePruner,
    direction: Literal["maximize", "minimize"],
    parallel: int,
) -> PrunerSimulation:
    """Replay the recorded validations of completed trials to a pruner, in the order in which they would have come.

    That is with `parallel` trials at once, started in the order given, and equal times between validations.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.intermediate_values]
    study = optuna.create_study(direction=direction, pruner=pruner)
    waiting, num_validations = list(completed), 0
    running: list[tuple[FrozenTrial, Trial, list[tuple[int, float]]]] = []
    stopped: set[int] = set()
    while waiting or running:
        while waiting and len(running) < parallel:
            recorded = waiting.pop(0)
            running.append((recorded, study.ask(), sorted(recorded.intermediate_values.items())))
        for each in list(running):
            recorded, trial, remaining = each
            step, value = remaining.pop(0)
            num_validations += 1
            trial.report(value, step)
            if remaining and trial.should_prune():
                stopped.add(recorded.number)
                study.tell(trial, state=TrialState.PRUNED)
                running.remove(each)
            elif not remaining:
                study.tell(trial, value)
                running.remove(each)
    ranked = sorted(completed, key=attrgetter("value"), reverse=direction == "maximize")
    total = sum(len(trial.intermediate_values) for trial in completed)
    best = tuple(trial.number for trial in ranked[:_NUM_BEST])
    saved = 1 - num_validations / total if total else 0.0
    return PrunerSimulation(len(completed), tuple(sorted(stopped)), best, saved)
