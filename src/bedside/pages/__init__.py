"""Pages: HTML files made of the templates beside this module, by Jinja2, which escapes all that is put into them.

A page is one file that loads nothing, and its policy forbids it to. Data become text or attributes, never markup or
script.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from bedside.support.extras import needs

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        template: A file of this folder, such as ``"report.html"``.
        **values: What it names; a name that is missing is an error, not an empty place.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    with needs("pages"):
        from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files(__name__)
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # a map's points are most of its file
    environment.filters["share"] = lambda value: max(0.0, min(1.0, value))
    return environment
