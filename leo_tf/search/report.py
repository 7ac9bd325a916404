"""Results of a search: best.cfg, and a report of text and figures."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from leo_tf.commands.flags import flags_of
from leo_tf.files import read_json, require_writable, write_bytes, write_json, write_text
from leo_tf.files.html_report import render, require_html_report, write_html_report
from leo_tf.runs.metrics import progress_of
from leo_tf.search.figures import draw_figures
from leo_tf.search.final_evaluation import FinalEvaluation
from leo_tf.search.plan import PRUNERS, Plan, run_folder
from leo_tf.search.pruner_simulation import PrunerSimulation, simulate_pruner
from leo_tf.search.rerun_top import Candidate
from leo_tf.search.study import Study

_BEST, _TEXT, _PAGE, _NUMBERS = "best.cfg", "report.md", "report.html", "report.json"


def require_report(folder: Path) -> None:
    """Check, before any training, that a report can be made and written in the study's folder.

    Raises:
      InputError: a package is missing, or a file cannot be written.
    """
    require_html_report("The report")
    for name in (_BEST, _TEXT, _PAGE, _NUMBERS):
        require_writable(folder / name)


def write_best(study: Study, best: Candidate, command: str) -> Path:
    """Write best.cfg, a flagfile for train.py.

    Args:
      study: Study.
      best: the best Candidate.
      command: the command line of the search.

    Returns:
      Its path.

    Raises:
      InputError: it cannot be written.
    """
    plan, text = study.plan, study.plan.objective.text
    reruns = f", mean {text(best.score)} with {len(best.rerun_scores)} fresh seeds" if best.rerun_scores else ""
    data = read_json(run_folder(study.folder, best.number) / "data.json", "the record of a run's data")
    lines = [
        f"# {command}",
        f"# Validation {plan.objective.name} of trial {best.number} of {len(study.trials)}: "
        f"{text(best.search_score)} in the search{reruns}.",
        f"# Data: {json.dumps(data)}",
        *dict.fromkeys(_flags(plan, best.settings)),
        f"--checkpoint_path=runs/{study.folder.resolve().name}",
    ]
    write_text(study.folder / _BEST, "\n".join(lines) + "\n")
    return study.folder / _BEST


def _flags(plan: Plan, settings: Mapping[str, Any]) -> list[str]:
    """Return the flags of a configuration: settings that are not at their default, and those that were searched."""
    config = plan.base.with_settings(settings)
    flags = [flag for flag in flags_of(config) if not flag.startswith("--seed=")]
    values = {name: config.flat()[name] for name in settings}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return flags + [f"--{name}={text}" for name, text in texts.items()]


def write_report(
    study: Study, candidates: Sequence[Candidate], final: FinalEvaluation | None, command: str, parallel: int
) -> Path:
    """Write report.md, report.html, report.json and the figures.

    Args:
      study: Study.
      candidates: the best first.
      final: FinalEvaluation, or None.
      command: the command line of the search.
      parallel: number of trials that ran at once.

    Returns:
      The path of report.md.

    Raises:
      InputError: a file cannot be written.
    """
    plan, folder, drawn = study.plan, study.folder, draw_figures(study)
    simulation = _simulate_asha(study, parallel) if plan.pruner == "none" else None
    text = render(
        "leo_tf.search",
        _TEXT,
        command=command,
        plan=plan,
        num_trials=len(study.trials),
        best=candidates[0],
        settings=_setting_table(plan, candidates[0]),
        candidates=_candidate_table(plan, candidates),
        final=_describe(plan, final) if final else None,
        figures={name: title for name, (title, _) in drawn.items()},
        simulation=simulation,
        trial_header=["trial", "state", plan.objective.name, "best step", *plan.space.settings, "reason"],
        trials=_trial_table(study),
    )
    write_text(folder / _TEXT, text)
    figures = {name: figure for name, (_, figure) in drawn.items()}
    for name, figure in figures.items():
        write_bytes(folder / name, figure)
    write_html_report(folder / _PAGE, f"Search {folder.resolve().name}", text, figures)
    write_json(folder / _NUMBERS, _numbers(study, candidates, final, command, simulation))
    return folder / _TEXT


def _simulate_asha(study: Study, parallel: int) -> PrunerSimulation:
    pruner = dataclasses.replace(study.plan, pruner=PRUNERS[1]).make_pruner()
    return simulate_pruner(study.trials, pruner, study.plan.objective.direction, parallel)


def _numbers(
    study: Study,
    candidates: Sequence[Candidate],
    final: FinalEvaluation | None,
    command: str,
    simulation: PrunerSimulation | None,
) -> dict[str, Any]:
    """Return the contents of report.json."""
    return {
        "command": command,
        "trials": [
            {"number": t.number, "state": t.state.name, "value": t.value, "settings": t.params} for t in study.trials
        ],
        "candidates": [each._asdict() | {"score": each.score} for each in candidates],
        "asha_simulation": simulation._asdict() if simulation else None,
        "final": final.summary() if final else None,
    }


def _setting_table(plan: Plan, best: Candidate) -> list[list[Any]]:
    base = plan.base.flat()
    return [[name, _short(base[name]), _short(best.settings[name])] for name in plan.space.settings]


def _candidate_table(plan: Plan, candidates: Sequence[Candidate]) -> list[list[Any]]:
    text = plan.objective.text
    return [
        [each.number, text(each.search_score), ", ".join(map(text, each.rerun_scores)), text(each.score)]
        for each in candidates
    ]


def _trial_table(study: Study) -> list[list[Any]]:
    """Return a row per trial: completed ones, the best first, then the others."""
    ranked = study.ranked
    completed = {trial.number for trial in ranked}
    return [_row(study, trial) for trial in [*ranked, *(t for t in study.trials if t.number not in completed)]]


def _row(study: Study, trial: FrozenTrial) -> list[Any]:
    objective = study.plan.objective
    best = progress_of(run_folder(study.folder, trial.number)).best(objective.measure, objective.higher_is_better)
    value = "" if trial.value is None else objective.text(trial.value)
    settings = [_short(trial.params.get(name)) for name in study.plan.space.settings]
    reason = trial.user_attrs.get("reason", "")
    return [trial.number, trial.state.name.lower(), value, best[0] if best else "", *settings, reason]


def _describe(plan: Plan, final: FinalEvaluation) -> dict[str, Any]:
    """Return what the template shows of a final evaluation."""
    mean, half_width = final.difference
    text = plan.objective.measure_text
    if plan.objective.measure == "accuracy":
        difference = f"{100 * mean:+.2f} +- {100 * half_width:.2f} points"
    else:
        difference = f"{mean:+.4f} +- {half_width:.4f}"
    scores = zip(final.seeds, final.base_means, final.best_means, strict=True)
    rows = [[seed, text(base), text(best)] for seed, base, best in scores]
    return {"num_tasks": final.best[0].num_tasks, "rows": rows, "difference": difference}


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
