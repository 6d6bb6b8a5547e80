"""Template, style, script and data become one page, with a policy that names them by their hashes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from markupsafe import Markup

from openmmlo import __version__
from openmmlo.errors import DataError
from openmmlo.pages.wording import UNDEFINED, decimal, file_size, hundredths, number, percent, share

_SHARED = Path(__file__).parent / "parts"


def environment(parts: Path) -> Environment:
    """Templates of a page's own folder, then the shared ones; all text is escaped.

    What a measure of another version lacks reads as a dash, and the page is drawn all the same.
    """
    made = Environment(
        loader=FileSystemLoader([parts, _SHARED]),
        autoescape=True,
        undefined=ChainableUndefined,
        finalize=lambda value: UNDEFINED if value is None else value,
    )
    made.filters |= {
        "number": number,
        "percent": percent,
        "hundredths": hundredths,
        "decimal": decimal,
        "share": share,
        "filesize": file_size,
    }
    return made


def render(
    templates: Environment, parts: Path, template: str, style: str, scripts: Sequence[str], data: Any,
    views: Mapping[str, Any],
) -> bytes:  # fmt: skip
    """The whole page.

    Args:
        templates: what :func:`environment` made of ``parts``.
        parts: folder of the page's own files.
        template: extends ``page.html``.
        style, scripts: names in ``parts``; the shared ones come before them.
        data: JSON values that the scripts find as ``data``.
        views: what the template reads.
    """
    # What stands in <style> and <script> is ours alone; the policy names it by its hash, so nothing else can run.
    styles = "\n".join(_text(path) for path in (_SHARED / "page.css", parts / style))
    script = "\n".join(_text(path) for path in (_SHARED / "page.js", *(parts / name for name in scripts)))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source(styles)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    text = templates.get_template(template).render(
        **views,
        version=__version__,
        policy=policy,
        style=Markup(styles),
        script=Markup(script),
        data=Markup(as_json(data)),
    )
    return text.encode("utf-8", "replace")  # half a surrogate pair has no place in a file


def check_place(to: Path) -> None:
    """Raise DataError where ``to`` is no place for a page."""
    if to.is_dir() or not to.parent.is_dir():
        raise DataError(f"{to} is no place for a file. Give the page a name in a folder that exists.")


def as_json(value: object) -> str:
    """Compact JSON that may stand in a ``<script>``: no character of it can end the element or a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
