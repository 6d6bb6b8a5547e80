"""The geometry block of a result comes in; angles against class rank, as in the paper's Fig. 1, go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.report.classes import Classes
from openmmlo.evaluate.report.curves import smoothed
from openmmlo.evaluate.report.facts import flat
from openmmlo.pages.charts import LinearScale, around, dots, line
from openmmlo.pages.wording import UNDEFINED, decimal, part

ANGLES = {
    "intra": ("intra-class", "a class’s images to its own texts; less is more compact"),
    "inter": ("inter-class", "a class’s images to the texts of other classes; more is better separated"),
    "ood": ("ID to OOD", "a class’s images to OOD texts; more is better separated"),
    "image_intra": ("intra-class", "a class’s images to their centre; less is more compact"),
    "image_inter": ("inter-class", "a class’s centre to the centres of others; more is better separated"),
    "image_ood": ("ID to OOD", "a class’s centre to the centres of OOD images; more is better separated"),
    "text_intra": ("intra-class", "a class’s texts to their centre; less is more compact"),
    "text_inter": ("inter-class", "a class’s centre to the centres of others; more is better separated"),
    "text_ood": ("ID to OOD", "a class’s centre to the centres of OOD texts; more is better separated"),
}
"""Angle -> its name and meaning."""

_ALONE = ("image_", "text_")
"""How the names of angles begin that are among images, or among texts, alone."""

WEIGHTS = {
    "inter": ("inter-class", "a class’s weights to those of others"),
    "ood": ("ID to OOD", "a class’s weights to OOD images"),
}

SPREAD = {"alignment": "alignment", "uniformity": "uniformity of images", "uniformity_texts": "uniformity of texts"}

_BASES = {
    "captions": "centres of captions",
    "prompts": "prompts of the classes",
    "images": "images alone",
    "texts": "texts alone",
}


def geometry_view(result: Mapping[str, Any], classes: Classes | None) -> dict[str, Any] | None:
    """None where no geometry was measured."""
    found = part(result, "measured", "geometry")
    if not isinstance(found, Mapping):
        return None
    basis, weights = part(found, "basis"), part(found, "weights")
    texts, alone = (
        _block(found, [key for key in ANGLES if (key != _plain(key)) == by_itself], ANGLES, classes)
        for by_itself in (False, True)
    )
    spread = {name: found[key] for key, name in SPREAD.items() if part(found, key) is not None}
    facts = [
        ("Modality gap", flat(part(found, "modality_gap") or {})),
        ("Alignment and uniformity", flat(spread)),
        ("Neural collapse", flat(part(found, "neural_collapse") or {})),
        ("What was read", flat(part(found, "rows") or {}) + flat({"OOD centres": part(found, "centres")})),
    ]
    blocks = [
        (
            "texts",
            "Images and texts, as in the paper" + (f" ({_BASES.get(basis, basis)})" if basis else ""),
            texts,
        ),
        ("images", "Texts alone" if basis == "texts" else "Images alone", alone),
        ("weights", "The classifier’s weights", _block(weights, list(WEIGHTS), WEIGHTS, classes)),
    ]
    return {
        "blocks": [(key, title, block) for key, title, block in blocks if block is not None],
        "facts": [(title, rows) for title, rows in facts if any(value != UNDEFINED for _, value in rows)],
        "unit": part(found, "slope_unit") or "degrees per tenfold training images",
        "reasons": [(str(key).replace("_", " "), str(text)) for key, text in (part(found, "reasons") or {}).items()],
    }


def _block(
    found: Any, keys: list[str], names: Mapping[str, tuple[str, str]], classes: Classes | None
) -> dict[str, Any] | None:
    """Chart and table of some angles; None where none of them is there."""
    summaries = {key: value for key in keys if (value := part(found, "summary", key)) is not None}
    series = {_plain(key): value for key in keys if (value := part(found, "classes", key)) is not None}
    rows = [row for key, item in summaries.items() if (row := _row(key, item, names)) is not None]
    chart = _chart(series, {_plain(key): item for key, item in summaries.items()}, classes)
    return {"chart": chart, "rows": rows} if rows or chart else None


def _plain(key: str) -> str:
    """The name of an angle without what it is among."""
    return next((key.removeprefix(before) for before in _ALONE if key.startswith(before)), key)


def _chart(series: Mapping[str, Any], summary: Any, classes: Classes | None) -> dict[str, Any] | None:
    """Dots and a smoothed line a kind of angle, classes from head to tail; None without a class that has an angle."""
    ordered = {
        key: (classes.ordered(values) if classes is not None else list(values))
        for key, values in series.items()
        if isinstance(values, Sequence) and values
    }
    known = [value for values in ordered.values() for value in values if value is not None]
    if not known:
        return None
    size = max(len(values) for values in ordered.values())
    x, y = LinearScale(0, size), around(known, 2)
    lines = []
    for key, values in ordered.items():
        points = [(place + 0.5, value) for place, value in enumerate(values) if value is not None]
        if not points:
            continue
        at, angles = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
        mean = part(summary, key, "mean")
        lines.append({
            "key": key,
            "name": ANGLES[key][0],
            "dots": dots(points, x, y),
            "line": line(smoothed(at, angles, 0.05), x, y),
            "mean": mean,
            "at": None if mean is None else round(100 * (1 - y.at(mean)), 3),
        })  # fmt: skip
    return {
        "lines": lines,
        "x_ticks": classes.rank_ticks() if classes is not None else [],
        "y_ticks": y.ticks(),
        "bands": classes.bands() if classes is not None else [],
        "sorted": bool(classes is not None and classes.counts),
        "size": size,
        "dense": size > 1500,
        "low": y.low,
        "high": y.high,
        "values": {item["key"]: [None if v is None else round(v, 2) for v in ordered[item["key"]]] for item in lines},
    }  # fmt: skip


def _row(key: str, item: Any, names: Mapping[str, tuple[str, str]]) -> dict[str, Any] | None:
    """Mean and deviation over classes, means of the shot groups, slope against the logarithm of the count."""
    if not isinstance(item, Mapping):
        return None
    interval = part(item, "slope_interval")
    return {
        "key": _plain(key),
        "name": names[key][0],
        "meaning": names[key][1],
        "mean": part(item, "mean"),
        "std": part(item, "std"),
        "groups": [part(item, "by_shot", group) for group in GROUPS],
        "slope": part(item, "slope"),
        "interval": [decimal(end, 2) for end in interval] if interval else None,
    }
