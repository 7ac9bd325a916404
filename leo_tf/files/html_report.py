"""Reports: Markdown filled in by Jinja2, and single-file HTML pages with their figures inside."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leo_tf.errors import require_package
from leo_tf.files.writing import require_writable, write_bytes, write_text

TEXT, PAGE = "report.md", "report.html"  # the template of this name, and what it becomes
_MARKUP = re.compile(r"[\\`*\[\]]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is not markup


def require_html_report(*files: str | Path) -> None:
    """Raise InputError unless the packages that HTML reports need are installed, and all files can be written."""
    for module in ("jinja2", "markdown"):
        require_package(module, "The report")
    for file in files:
        require_writable(file)


def render(package: str, template: str, **content: Any) -> str:
    """Fill in a template of a package's folder templates/; it may import the macros table and code from macros.md.

    A name that the template uses and `content` lacks is an error.
    """
    return _templates(package).get_template(template).render(content)


def write_report(folder: Path, package: str, title: str, figures: Mapping[str, bytes], /, **content: Any) -> Path:
    """Write report.md, from the package's template, report.html and the PNG figures; return the path of report.md."""
    text = render(package, TEXT, **content)
    write_text(folder / TEXT, text)
    for name, figure in figures.items():
        write_bytes(folder / name, figure)
    write_html_report(folder / PAGE, title, text, figures)
    return folder / TEXT


def write_html_report(path: str | Path, title: str, text: str, figures: Mapping[str, bytes]) -> None:
    """Write Markdown as one HTML page, in which the PNG `figures` that it refers to by name are embedded."""
    import markdown

    body = markdown.markdown(text, extensions=["tables"])
    for name, figure in figures.items():
        embedded = base64.b64encode(figure).decode()
        body = body.replace(f'src="{name}"', f'src="data:image/png;base64,{embedded}"')
    write_text(path, _templates("leo_tf.files").get_template("page.html").render(title=title, body=body))


def _templates(package: str) -> Any:
    import jinja2

    def cell(text: object) -> str:
        return _MARKUP.sub(r"\\\g<0>", str(jinja2.filters.escape(" ".join(str(text).split())))).replace("|", "&#124;")

    loaders = [jinja2.PackageLoader(name, "templates") for name in dict.fromkeys([package, "leo_tf.files"])]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = cell
    return environment
