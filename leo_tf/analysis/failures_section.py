"""What a classifier gets wrong, in the report."""

import numpy as np

from leo_tf.analysis.image_sheets import Images, sheet
from leo_tf.analysis.section import Picture, Section, Table
from leo_tf.classification.failures import failures_of
from leo_tf.data.image_paths import image_paths
from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import confidence_interval

_LISTED, _PICTURED, _IN_A_LINE, _MOST_CLASSES = 10, 4, 8, 60
_LEAST = 5  # tasks of a class that is listed


def section(analysed):
    """Return the Section on what fails."""
    evaluation, subject = analysed.evaluation("test"), analysed.subject("test")
    table, split = subject.table, evaluation.request.split
    paths, images = _paths(evaluation, table), images_of(analysed)
    found = failures_of(subject)
    tables = [
        _classes_table(found, table),
        _pairs_table(found, table),
        _tasks_table(found, table),
        _examples_table(found, table, paths),
    ]
    pictures = {"task_accuracy": Picture(tasks_figure(found), f"Accuracies of {len(found.task_accuracy)} tasks.")}
    if table.num_classes <= _MOST_CLASSES:
        caption = (
            "How often a query of the class of the row is taken for the class of the column, in tasks that have both; "
            "on the diagonal, the accuracy. Blank: never in one task."
        )
        pictures["confusion"] = Picture(confusion_figure(found, table.class_names), caption)
    if images is not None:
        pictures |= _image_pictures(found, subject, images)
    text = [
        f"The tasks, classes, pairs of classes and examples that are answered worst, over {len(subject.tasks)} {split} "
        "tasks with all their queries. A class is as easy as the others in its tasks allow; an example that is nearly "
        "always wrong may be labelled wrong."
    ]
    return Section("What fails", text, tables, pictures, {**analysed.about("test"), **summary(found, table, paths)})


def images_of(analysed):
    """Return the Images that an Analysed has, None for none.

    Raises:
      InputError: they are not there, or it is not known which is whose.
    """
    if not analysed.images:
        return None
    return Images(analysed.images, _paths(analysed.evaluation("test"), analysed.subject("test").table))


def _paths(evaluation, table):
    data = evaluation.config.data
    return image_paths(data.data_path, data.dataset_name, data.embedding_crop, evaluation.request.split, table)


def summary(found, table, paths):
    """Return Failures as a plain dict, for JSON."""
    names, rates = table.class_names, found.rates()
    return {
        "accuracy": confidence_interval(found.task_accuracy)._asdict(),
        "classes": {names[number]: _interval(values) for number, values in found.classes()},
        "pairs": [
            {"class": names[a], "taken_for": names[b], "rate": rate, "rate_back": back}
            for a, b, rate, back in found.pairs()[:100]
        ],
        "confusion": {
            "classes": list(names),
            "rates": [[None if np.isnan(v) else float(v) for v in row] for row in rates],
        },
        "tasks": [
            {"task": task, "accuracy": float(found.task_accuracy[task]), "classes": [names[c] for c in classes]}
            for task, classes in _worst_tasks(found)
        ],
        "examples": [
            {
                **_place(table, row),
                **({} if paths is None else {"image": str(paths[row])}),
                "asked": int(found.asked_rows[row]),
                "accuracy": float(found.right[row] / found.asked_rows[row]),
            }
            for row in found.examples()[:100].tolist()
        ],
    }


def _interval(values):
    interval = confidence_interval(values)._asdict() if len(values) > 1 else {"mean": float(values.mean())}
    return {**interval, "tasks": len(values)}


def _place(table, row):
    number = int(np.searchsorted(table.class_offsets, row, side="right")) - 1
    return {"class": table.class_names[number], "number_in_class": int(row - table.class_offsets[number])}


def _worst_tasks(found):
    order = np.argsort(found.task_accuracy, kind="stable")[:_LISTED]
    return [(task, found.class_ids[task].tolist()) for task in order.tolist()]


def _classes_table(found, table):
    rows = []
    for number, values in found.classes(_LEAST)[: 2 * _LISTED]:
        interval = _interval(values)
        width = f" ± {100 * interval['half_width']:.1f}" if "half_width" in interval else ""
        rows.append([table.class_names[number], f"{100 * interval['mean']:.1f}{width} %", str(len(values))])
    return Table(["class, the worst first", "accuracy", "tasks"], rows)


def _pairs_table(found, table):
    names = table.class_names
    rows = [
        [names[a], names[b], f"{100 * rate:.1f} %", f"{100 * back:.1f} %"]
        for a, b, rate, back in found.pairs()[:_LISTED]
    ]
    return Table(["class", "taken for", "how often", "the other way"], rows)


def _tasks_table(found, table):
    rows = [
        [str(task), f"{100 * found.task_accuracy[task]:.1f} %", ", ".join(table.class_names[c] for c in classes)]
        for task, classes in _worst_tasks(found)
    ]
    return Table(["task, the worst first", "accuracy", "classes"], rows)


def _examples_table(found, table, paths):
    rows = []
    for row in found.examples()[:_LISTED].tolist():
        place = _place(table, row)
        name = f"number {place['number_in_class']}" if paths is None else str(paths[row])
        taken = table.class_names[int(found.wrong_answers[row].argmax())] if found.wrong_answers[row].any() else ""
        share = f"{_share(found, row)} of {found.asked_rows[row]}"
        rows.append([place["class"], name, share, taken])
    return Table(["class", "example, the worst first", "right", "most often taken for"], rows)


def _share(found, row):
    return f"{100 * found.right[row] / found.asked_rows[row]:.0f} %"


def tasks_figure(found):
    """Draw a histogram of the accuracies of tasks."""
    figure = plots.new_figure(5.2, 2.8)
    axes = figure.subplots()
    axes.hist(100 * found.task_accuracy, bins=30)
    axes.axvline(100 * found.task_accuracy.mean(), color="black", lw=1)
    axes.set(xlabel="accuracy of a task, %", ylabel="tasks")
    return plots.finished(figure)


def confusion_figure(found, names):
    """Draw the rates of confusion; names: of the classes."""
    side = 2.6 + 0.3 * len(names)
    figure = plots.new_figure(side + 0.8, side)
    axes, rates = figure.subplots(), 100 * found.rates()
    drawn = axes.imshow(rates, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(drawn, ax=axes, fraction=0.04, label="%")
    shown = [plots.plain(name if len(name) <= 24 else f"{name[:22]}...") for name in names]
    places = range(len(names))
    axes.set_xticks(places, shown, rotation=90, fontsize="small")
    axes.set_yticks(places, shown, fontsize="small")
    axes.set(xlabel="taken for", ylabel="class")
    if len(names) <= 25:
        for row, column in zip(*np.nonzero(~np.isnan(rates)), strict=True):
            color = "white" if rates[row, column] > 55 else "black"
            text = f"{rates[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize="x-small", color=color)
    return plots.finished(figure)


def _image_pictures(found, subject, images):
    """Return pictures of supports of the worst tasks, of the most mixed up pairs and of the worst examples."""
    names, offsets, sizes = subject.table.class_names, subject.table.class_offsets, subject.table.class_sizes
    tasks = [
        (
            f"task {task}, {100 * found.task_accuracy[task]:.0f} % right",
            [
                (int(row), _brief(names[number]))
                for number, rows in zip(classes, subject.tasks.support_rows[task], strict=True)
                for row in rows
            ][: 3 * _IN_A_LINE],
        )
        for task, classes in _worst_tasks(found)[:_PICTURED]
    ]
    pairs = []
    for a, b, rate, _ in found.pairs()[:_PICTURED]:
        rows = np.arange(offsets[a], offsets[a] + sizes[a])
        often = np.argsort(-found.wrong_answers[rows, b], kind="stable")[:_IN_A_LINE]
        shown = [(int(row), f"{found.wrong_answers[row, b]} x") for row in rows[often]]
        shown += [(int(row), f"a {_brief(names[b])}") for row in range(offsets[b], offsets[b] + min(2, sizes[b]))]
        pairs.append((plots.plain(f"{names[a]} taken for {names[b]} ({100 * rate:.0f} %)"), shown))
    worst = found.examples()[: 2 * _IN_A_LINE].tolist()
    examples = [
        (
            "",
            [
                (
                    row,
                    f"{_brief(_place(subject.table, row)['class'])}\n{_share(found, row)}",
                )
                for row in worst[first : first + _IN_A_LINE]
            ],
        )
        for first in range(0, len(worst), _IN_A_LINE)
    ]
    return {
        "worst_tasks": Picture(sheet(images, tasks), "The support examples of the tasks with the lowest accuracy."),
        "worst_pairs": Picture(
            sheet(images, pairs), "Queries of one class that are most often taken for another, and two of that one."
        ),
        "worst_examples": Picture(
            sheet(images, examples), "Queries that are answered right most seldom, and how often."
        ),
    }


def _brief(name):
    last = name.rpartition("/")[2]
    return plots.plain(last if len(last) <= 18 else f"{last[:16]}...")
