"""Results of a search: best.cfg, and a report of text and figures."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from leo_tf.commands.flags import flags_of
from leo_tf.files import html_report, read_json, write_json, write_text
from leo_tf.runs.metrics import progress_of
from leo_tf.search.figures import draw_figures
from leo_tf.search.plan import Plan, run_folder
from leo_tf.search.pruner_simulation import simulate_pruner
from leo_tf.search.selection import Candidate, FinalEvaluation
from leo_tf.search.study import Study

_BEST, _NUMBERS = "best.cfg", "report.json"


def require_report(folder: Path) -> None:
    """Raise InputError, before any training, unless a report can be made and written in the study's folder."""
    names = _BEST, html_report.TEXT, html_report.PAGE, _NUMBERS
    html_report.require_html_report(*(folder / name for name in names))


def write_best(study: Study, best: Candidate, command: str) -> Path:
    """Write best.cfg, a flagfile for train.py, and return its path."""
    plan, text = study.plan, study.plan.objective.text
    reruns = f", mean {text(best.score)} with {len(best.rerun_scores)} fresh seeds" if best.rerun_scores else ""
    config = plan.base.with_settings(best.settings)
    flags = [flag for flag in flags_of(config) if not flag.startswith("--seed=")]
    data = read_json(run_folder(study.folder, best.number) / "data.json", "the record of a run's data")
    lines = [
        f"# {command}",
        f"# Validation {plan.objective.name} of trial {best.number} of {len(study.trials)}: "
        f"{text(best.search_score)} in the search{reruns}.",
        f"# Data: {json.dumps(data)}",
        *dict.fromkeys([*flags, *(f"--{name}={config.flat()[name]}" for name in best.settings)]),  # even at defaults
        f"--checkpoint_path=runs/{study.folder.resolve().name}",
    ]
    write_text(study.folder / _BEST, "\n".join(lines) + "\n")
    return study.folder / _BEST


def write_report(
    study: Study, candidates: Sequence[Candidate], final: FinalEvaluation | None, command: str, parallel: int
) -> Path:
    """Write the report and its figures, the best candidate first; `parallel` trials ran at once. Return its path."""
    plan, folder, drawn = study.plan, study.folder, draw_figures(study)
    text_of, base, best = plan.objective.text, plan.base.flat(), candidates[0]
    simulation = None
    if plan.pruner == "none":
        asha = dataclasses.replace(plan, pruner="asha").make_pruner()
        simulation = simulate_pruner(study.trials, asha, plan.objective.direction, parallel)
    numbers = {
        "command": command,
        "trials": [
            {"number": t.number, "state": t.state.name, "value": t.value, "settings": t.params} for t in study.trials
        ],
        "candidates": [each._asdict() | {"score": each.score} for each in candidates],
        "asha_simulation": simulation._asdict() if simulation else None,
        "final": final._asdict() | {"difference": final.difference._asdict()} if final else None,
    }
    write_json(folder / _NUMBERS, numbers)
    return html_report.write_report(
        folder,
        "leo_tf.search",
        f"Search {folder.resolve().name}",
        {name: figure for name, (_, figure) in drawn.items()},
        command=command,
        plan=plan,
        num_trials=len(study.trials),
        best=best,
        settings=[[name, _short(base[name]), _short(best.settings[name])] for name in plan.space.settings],
        candidates=[
            [each.number, text_of(each.search_score), ", ".join(map(text_of, each.rerun_scores)), text_of(each.score)]
            for each in candidates
        ],
        final=_describe(plan, final) if final else None,
        figures={name: title for name, (title, _) in drawn.items()},
        simulation=simulation,
        trial_header=["trial", "state", plan.objective.name, "best step", *plan.space.settings, "reason"],
        trials=_trial_table(study),
    )


def _trial_table(study: Study) -> list[list[Any]]:
    """Return a row per trial: completed ones, the best first, then the others."""
    objective, rows = study.plan.objective, []
    for trial in [*study.ranked, *(each for each in study.trials if each.state != TrialState.COMPLETE)]:
        best = progress_of(run_folder(study.folder, trial.number)).best(objective.measure, objective.higher_is_better)
        value = "" if trial.value is None else objective.text(trial.value)
        settings = [_short(trial.params.get(name)) for name in study.plan.space.settings]
        reason = trial.user_attrs.get("reason", "")
        rows.append([trial.number, trial.state.name.lower(), value, best[0] if best else "", *settings, reason])
    return rows


def _describe(plan: Plan, final: FinalEvaluation) -> dict[str, Any]:
    """Return what the template shows of a final evaluation."""
    mean, half_width = final.difference
    text = plan.objective.measure_text
    if plan.objective.measure == "accuracy":
        difference = f"{100 * mean:+.2f} +- {100 * half_width:.2f} points"
    else:
        difference = f"{mean:+.4f} +- {half_width:.4f}"
    scores = zip(final.seeds, final.base, final.best, strict=True)
    rows = [[seed, text(base), text(best)] for seed, base, best in scores]
    return {"num_tasks": final.num_tasks, "rows": rows, "difference": difference}


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
