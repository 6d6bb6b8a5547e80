"""Everything the page says comes together: one file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.report.accuracy import accuracy_view
from openmmlo.evaluate.report.classes import Classes, classes_of
from openmmlo.evaluate.report.classifiers import NAMES, caption_view, classifier_rows
from openmmlo.evaluate.report.detectors import METRICS, detector_view
from openmmlo.evaluate.report.geometry import geometry_view
from openmmlo.evaluate.report.head import head, main_set
from openmmlo.evaluate.report.origin import origin_view
from openmmlo.evaluate.report.scores import score_pictures
from openmmlo.pages.charts import LinearScale, Tick
from openmmlo.pages.page import check_place, environment, render
from openmmlo.pages.wording import part
from openmmlo.writing import write_aside

SECTIONS = (
    ("accuracy", "Accuracy"), ("errors", "Errors"), ("ood", "Out of distribution"), ("geometry", "Geometry"),
    ("classifiers", "Classifiers"), ("captions", "Captions"), ("origin", "Provenance"),
)  # fmt: skip

_PARTS = Path(__file__).parent / "page"
_SCRIPTS = ("plots.js", "classes.js", "detectors.js")


def write_report(result: Mapping[str, Any], predictions: Predictions | None, to: Path) -> Path:
    """Write the page and return where it is. Equal results and predictions give equal bytes.

    Args:
        result: what result.json holds.
        predictions: of the same evaluation; without them there is nothing that shows single classes or scores.
        to: the file to write; what it held is replaced whole.

    Raises:
        DataError: ``to`` is no place for a file.
    """
    check_place(to)
    write_aside(to, page_of(result, predictions))
    return to


def page_of(result: Mapping[str, Any], predictions: Predictions | None) -> bytes:
    """The page itself."""
    classes = None if predictions is None else classes_of(predictions)
    detectors = detector_view(result, classes)
    pictures = score_pictures(predictions, result)
    if detectors is not None:
        detectors["pictures"] = pictures
        detectors["first"] = _first(detectors, pictures)
    geometry = geometry_view(result, classes)
    views = {
        "sections": SECTIONS,
        "head": head(result),
        "accuracy": accuracy_view(result, predictions, classes),
        "detectors": detectors,
        "metrics": METRICS,
        "geometry": geometry,
        "classifiers": classifier_rows(result),
        "captions": caption_view(result),
        "origin": origin_view(result),
        "names": NAMES,
        "shot_groups": GROUPS,
        "unit_ticks": LinearScale(0, 1).ticks(percent=True),
        "ticks_of": lambda pairs: [Tick(*pair) for pair in pairs],
        "with_predictions": predictions is not None,
    }
    data = {
        "groups": GROUPS,
        "classes": _class_data(result, classes),
        "angles": {key: block["chart"]["values"] for key, _, block in part(geometry, "blocks") or [] if block["chart"]},
        "pictures": pictures,
    }
    return render(_templates(), _PARTS, "evaluation.html", "evaluation.css", _SCRIPTS, data, views)


@cache
def _templates() -> Environment:
    return environment(_PARTS)


def _first(detectors: dict[str, Any], pictures: Mapping[str, Any] | None) -> Any:
    """What is drawn before a reader chooses."""
    chosen = detectors["chosen"]
    if pictures and chosen["detector"] not in pictures:
        chosen["detector"] = next(iter(pictures))
    drawn = part(pictures, chosen["detector"], "sets") or {}
    if drawn and chosen["set"] not in drawn:
        chosen["set"] = next(iter(drawn))
    return drawn.get(chosen["set"])


def _class_data(result: Mapping[str, Any], classes: Classes | None) -> list[list[Any]]:
    """[name, training images, accuracy, place of the group in GROUPS or -1] of each class, from head to tail."""
    if classes is None:
        return []
    values = classes.ordered(part(main_set(result)[1], "per_class")) or [None] * len(classes.order)
    return [
        [
            name,
            classes.counts[rank] if classes.counts else None,
            None if values[rank] is None else round(values[rank], 4),
            GROUPS.index(classes.groups[rank]) if classes.groups else -1,
        ]
        for rank, name in enumerate(classes.names)
    ]
