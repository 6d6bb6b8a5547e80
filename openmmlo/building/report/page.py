"""Everything the page says comes together: template, style, script and data become one file that opens offline."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from markupsafe import Markup

from openmmlo import __version__
from openmmlo.building.report.gallery import Gallery, as_json, make_gallery
from openmmlo.building.report.head import head
from openmmlo.building.report.leaks import audit_view
from openmmlo.building.report.origin import failures, licence, making
from openmmlo.building.report.quality import quality_view
from openmmlo.building.report.tail import tail
from openmmlo.building.report.wording import UNDEFINED, decimal, number, percent, share
from openmmlo.building.report.words import word_view
from openmmlo.data import BuiltDataset
from openmmlo.errors import DataError
from openmmlo.progress import Progress
from openmmlo.writing import write_aside

BUDGET = 7_600_000
"""Bytes of a page at most, as far as it is ours to choose: names of classes and measures take what they take."""

SECTIONS = (
    ("tail", "Long tail"), ("gallery", "Images"), ("words", "Words"), ("audit", "Masks"), ("quality", "Quality"),
    ("failures", "Failures"), ("making", "Making"), ("licence", "Licence"),
)  # fmt: skip

_PARTS = Path(__file__).parent / "page"
_SCRIPTS = ("page.js", "gallery.js", "tail.js")


def write_report(
    dataset: BuiltDataset,
    measures: Mapping[str, dict[str, Any] | None],
    to: Path,
    progress: Progress | None = None,
    budget: int = BUDGET,
) -> Path:
    """Write the page and return where it is. Equal data and measures give equal bytes on one version of Pillow.

    Args:
        measures: ``stats``, ``quality`` and ``audit``; a section says how to make what is absent or None.
        to: the file to write; what it held is replaced whole.
        budget: bytes that the page should stay below. The gallery shrinks to fit.

    Raises:
        DataError: the data set is damaged, or ``to`` is no place for a file.
    """
    if to.is_dir() or not to.parent.is_dir():
        raise DataError(f"{to} is no place for a file. Give the page a name in a folder that exists.")
    views = _views(dataset, measures)
    empty = Gallery(dataset.splits, [], [], False, None, {})
    bare = _page(dataset, views, empty)
    gallery = make_gallery(dataset, max(0, budget - len(bare)), progress)
    write_aside(to, _page(dataset, views, gallery))
    return to


def _views(dataset: BuiltDataset, measures: Mapping[str, dict[str, Any] | None]) -> dict[str, Any]:
    statistics, quality, audit = (measures.get(name) for name in ("stats", "quality", "audit"))
    return {
        "head": head(dataset, audit),
        "tail": tail(dataset, statistics),
        "words": word_view(dataset.folder, statistics),
        "audit": audit_view(audit),
        "quality": quality_view(quality),
        "failures": failures(dataset),
        "making": making(dataset),
        "licence": licence(dataset),
    }


def _page(dataset: BuiltDataset, views: Mapping[str, Any], gallery: Gallery) -> bytes:
    # What stands in <style> and <script> is ours alone; the policy names it by its hash, so nothing else can run.
    style = _part("report.css")
    script = "\n".join(_part(name) for name in _SCRIPTS)
    trained = list(dataset.class_counts) if any(dataset.class_counts) else []
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    text = _environment().get_template("report.html").render(
        **views,
        version=__version__,
        sections=SECTIONS,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        data=Markup(as_json({**gallery.to_json(), "trained": trained})),
        gallery={
            "cards": len(gallery.cards),
            "images": sum(bool(card.image) for card in gallery.cards),
            "with_images": gallery.with_images,
        },
    )  # fmt: skip
    return text.encode("utf-8", "replace")  # half a surrogate pair has no place in a file


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _environment() -> Environment:
    # A measure of another version may lack a number: that reads as a dash, and the page is drawn all the same.
    environment = Environment(
        loader=FileSystemLoader(_PARTS),
        autoescape=True,
        undefined=ChainableUndefined,
        finalize=lambda value: UNDEFINED if value is None else value,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "decimal": decimal,
        "share": share,
        "filesize": _file_size,
    }
    return environment


def _file_size(value: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"
