"""Reports as Markdown, by Jinja2, and as one HTML page with its pictures inside."""

import base64
import re

from leo_tf.errors import require_package
from leo_tf.files.writing import write_text

_MARKUP = re.compile(r"[\\`*\[\]]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word marks nothing


def require_pages(purpose):
    """Raise InputError where what makes pages is not installed.

    Args:
      purpose: what needs them, the beginning of a sentence: "The report".
    """
    for module in ("jinja2", "markdown"):
        require_package(module, purpose)


def render(package, template, **content):
    """Return a room's template filled in, text; it may import table and code from macros.md.

    Args:
      package: whose folder templates/ it is in: "leo_tf.reproduce".
      template: its file name.
      **content: what it lays out; all that it names has to be there.
    """
    return _templates(package).get_template(template).render(content)


def write_page(path, title, text, pictures):
    """Write a Markdown text as one HTML page.

    Args:
      path: of the page.
      title: of the page.
      text: in Markdown; pictures by their names.
      pictures: {name: bytes of a PNG}, which go into the page.

    Raises:
      InputError: it cannot be written.
    """
    import markdown

    body = markdown.markdown(text, extensions=["tables"])
    for name, picture in pictures.items():
        embedded = base64.b64encode(picture).decode()
        body = body.replace(f'src="{name}"', f'src="data:image/png;base64,{embedded}"')
    write_text(path, _templates("leo_tf.files").get_template("page.html").render(title=title, body=body))


def _templates(package):
    import jinja2

    def cell(text):
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
