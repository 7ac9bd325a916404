"""What a search found: best.cfg, and a report of text and pictures."""

import dataclasses
import json

from leo_tf.commands.flags import flags_of
from leo_tf.files import read_json, require_writable, write_bytes, write_json, write_text
from leo_tf.files.html_report import render, require_pages, write_page
from leo_tf.runs.metrics import progress_of
from leo_tf.search.figures import figures
from leo_tf.search.plan import PRUNERS, run_folder
from leo_tf.search.pruner_simulation import replay

_BEST, _TEXT, _PAGE, _NUMBERS = "best.cfg", "report.md", "report.html", "report.json"


def require_report(folder):
    """Check, before any work, that a report can be made and written.

    Args:
      folder: Path of the study.

    Raises:
      InputError: a package is missing, or a file cannot be written.
    """
    require_pages("The report")
    for name in (_BEST, _TEXT, _PAGE, _NUMBERS):
        require_writable(folder / name)


def write_best(study, repeated, command):
    """Write best.cfg, a flagfile for train.py.

    Args:
      study: Study.
      repeated: list of Repeated, the choice first.
      command: the command line of the search.

    Returns:
      Its path.

    Raises:
      InputError: it cannot be written.
    """
    choice, plan = repeated[0], study.plan
    again = f", {_text(plan, choice.judged)} the mean of {len(choice.repeated)} fresh seeds" if choice.repeated else ""
    data = read_json(run_folder(study.folder, choice.number) / "data.json", "the record of a run's data")
    lines = [
        f"# {command}",
        f"# Validation {plan.objective.name} of trial {choice.number} of {len(study.trials)}: "
        f"{_text(plan, choice.searched)} in the search{again}.",
        f"# Data: {json.dumps(data)}",
        *dict.fromkeys(_flags(plan, choice.values)),
        f"--checkpoint_path=runs/{study.folder.resolve().name}",
    ]
    write_text(study.folder / _BEST, "\n".join(lines) + "\n")
    return study.folder / _BEST


def _flags(plan, values):
    """Return the flags of a configuration: what is not the default, and what was searched."""
    config = plan.start.with_settings(values)
    flags = [flag for flag in flags_of(config) if not flag.startswith("--seed=")]
    settings = config.flat()
    searched = [f"--{name}={str(settings[name]).lower() if settings[name] in (True, False) else settings[name]}"
                for name in values]  # fmt: skip
    return [*flags, *searched]


def write_report(study, repeated, final, command, at_once):
    """Write report.md, report.html, report.json and the pictures.

    Args:
      study: Study.
      repeated: list of Repeated, the choice first.
      final: Final, or None.
      command: the command line of the search.
      at_once: trials that ran at the same time.

    Returns:
      The path of report.md.

    Raises:
      InputError: a file cannot be written.
    """
    plan, folder, drawn = study.plan, study.folder, figures(study)
    names, trials = list(plan.space.parts), study.trials
    replayed = _replay(study, at_once) if plan.pruner == "none" else None
    text = render(
        "leo_tf.search",
        _TEXT,
        command=command,
        plan=plan,
        trials=trials,
        choice=repeated[0],
        chosen_rows=[[name, _short(plan.start.flat()[name]), _short(repeated[0].values[name])] for name in names],
        names=names,
        rows=[_row(study, trial, names) for trial in _best_first(study)],
        repeated=[_repeated(plan, each) for each in repeated],
        pictures={name: title for name, (title, _) in drawn.items()},
        replayed=replayed,
        final=_final(plan, final) if final else None,
    )
    write_text(folder / _TEXT, text)
    pictures = {name: picture for name, (_, picture) in drawn.items()}
    for name, picture in pictures.items():
        write_bytes(folder / name, picture)
    write_page(folder / _PAGE, f"Search {folder.resolve().name}", text, pictures)
    write_json(
        folder / _NUMBERS,
        {
            "command": command,
            "trials": [
                {"number": t.number, "state": t.state.name, "value": t.value, "settings": t.params} for t in trials
            ],
            "repeated": [each._asdict() | {"judged": each.judged} for each in repeated],
            "replay": replayed._asdict() if replayed else None,
            "final": final.summary() if final else None,
        },
    )
    return folder / _TEXT


def _best_first(study):
    ranked = study.ranked
    done = {trial.number for trial in ranked}
    return [*ranked, *(trial for trial in study.trials if trial.number not in done)]


def _row(study, trial, names):
    progress = progress_of(run_folder(study.folder, trial.number))
    best = progress.best(study.plan.objective.measure, study.plan.objective.higher_is_better)
    value = "" if trial.value is None else _text(study.plan, trial.value)
    step = best[0] if best else ""
    reason = trial.user_attrs.get("reason", "")
    return [trial.number, trial.state.name.lower(), value, step, *(_short(trial.params.get(n)) for n in names), reason]


def _repeated(plan, each):
    again = ", ".join(_text(plan, value) for value in each.repeated)
    return [each.number, _text(plan, each.searched), again, _text(plan, each.judged)]


def _final(plan, final):
    mean, half_width = final.difference
    if plan.objective.measure == "accuracy":
        difference = f"{100 * mean:+.2f} +- {100 * half_width:.2f} points"
    else:
        difference = f"{mean:+.4f} +- {half_width:.4f}"
    return {
        "num_tasks": final.choice[0].num_tasks,
        "rows": [
            [seed, *(_measured(plan, value) for value in pair)]
            for seed, *pair in zip(final.seeds, final.means("start"), final.means("choice"), strict=True)
        ],
        "difference": difference,
    }


def _measured(plan, value):
    return plan.objective._replace(name=plan.objective.measure).text(value)


def _replay(study, at_once):
    plan = study.plan
    pruner = dataclasses.replace(plan, pruner=PRUNERS[1]).make_pruner()
    return replay(study.trials, pruner, plan.objective.direction, at_once)


def _text(plan, value):
    return plan.objective.text(value)


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else value
