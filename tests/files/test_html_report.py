"""HTML reports escape text from outside."""

import jinja2
import markdown
import pytest

from leo_tf.files import html_report


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a|b", "a&#124;b"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("*x* **y**", "*x* **y**"),
        ("_x_ __y__ num_latents", "_x_ __y__ num_latents"),
        ("`code`", "`code`"),
        ("[link](to)", "[link](to)"),
        ("back\\slash \\* end\\", "back\\slash \\* end\\"),
        ("two\nlines", "two lines"),
        (0.5, "0.5"),
    ],
)
def test_cells_escape_markup(text, shown):
    template = '{% from "macros.md" import table %}{{ table(["a"], [[text]]) }}'
    table = html_report._templates("leo_tf.analysis").from_string(template).render(text=text)
    assert f"<td>{shown}</td>" in markdown.markdown(table, extensions=["tables"])


def test_missing_content_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        html_report.render("leo_tf.analysis", "report.md", name="x")
