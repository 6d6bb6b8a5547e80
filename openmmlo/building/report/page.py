"""Everything the page says comes together: template, style, script and data become one file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from openmmlo.building.report.gallery import Gallery, make_gallery
from openmmlo.building.report.head import head
from openmmlo.building.report.leaks import audit_view
from openmmlo.building.report.origin import failures, licence, making
from openmmlo.building.report.quality import quality_view
from openmmlo.building.report.tail import tail
from openmmlo.building.report.words import word_view
from openmmlo.data import BuiltDataset
from openmmlo.pages.page import check_place, environment, render
from openmmlo.progress import Progress
from openmmlo.writing import write_aside

BUDGET = 7_600_000
"""Bytes of a page at most, as far as it is ours to choose: names of classes and measures take what they take."""

SECTIONS = (
    ("tail", "Long tail"), ("gallery", "Images"), ("words", "Words"), ("audit", "Masks"), ("quality", "Quality"),
    ("failures", "Failures"), ("making", "Making"), ("licence", "Licence"),
)  # fmt: skip

_PARTS = Path(__file__).parent / "page"
_SCRIPTS = ("gallery.js", "tail.js")


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
    check_place(to)
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
    trained = list(dataset.class_counts) if any(dataset.class_counts) else []
    shown = {
        "cards": len(gallery.cards),
        "images": sum(bool(card.image) for card in gallery.cards),
        "with_images": gallery.with_images,
    }
    data = {**gallery.to_json(), "trained": trained}
    views = {**views, "sections": SECTIONS, "gallery": shown}
    return render(_environment(), _PARTS, "report.html", "report.css", _SCRIPTS, data, views)


def _environment() -> Environment:
    return environment(_PARTS)
