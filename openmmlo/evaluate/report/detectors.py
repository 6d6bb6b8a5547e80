"""OOD scores of a result come in; tables of detectors, where OOD images land, and sweeps of k go out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.metrics.ood import NAMES
from openmmlo.evaluate.report.classes import Classes
from openmmlo.evaluate.report.facts import flat
from openmmlo.evaluate.report.head import KNOWN
from openmmlo.pages.charts import LogScale, Tick, around, count_label, dots, line
from openmmlo.pages.wording import part, share

METRICS = {
    "fpr95_id_positive": ("FPR95, ID positive", "share of OOD images accepted where 95 % of ID images are"),
    "auroc": ("AUROC", "chance that an OOD image scores above an ID image"),
    "aupr_in": ("AUPR-in", "average precision, ID positive"),
    "aupr_out": ("AUPR-out", "average precision, OOD positive"),
    "fpr95_ood_positive": ("FPR95, OOD positive", "share of ID images flagged where 95 % of OOD images are"),
}  # fmt: skip
"""OOD metric -> its name, with what is positive, and what it is; the headline first."""

LESS_IS_BETTER = {"fpr95_id_positive", "fpr95_ood_positive"}


def detector_view(result: Mapping[str, Any], classes: Classes | None) -> dict[str, Any] | None:
    """None without an OOD set that was scored."""
    sets: Mapping[str, Any] = part(result, "scored", "ood") or {}
    names = list(dict.fromkeys(name for item in sets.values() for name in part(item, "detectors") or {}))
    if not names:
        return None
    sizes = Counter(part(item, "group") for item in sets.values())
    groups = {  # a mean over one set is that set
        name: item
        for name, item in (part(result, "scored", "ood_groups") or {}).items()
        if name == "all" or sizes[name] > 1
    }
    headings = [{"name": name, "rows": part(item, "rows"), "mean": False} for name, item in sets.items()]
    headings += [{"name": f"mean of {name}" if name != "all" else "mean of all", "mean": True} for name in groups]
    found = [*(part(item, "detectors") or {} for item in sets.values()), *groups.values()]
    return {
        "sets": list(sets),
        "detectors": names,
        "chosen": {"detector": next((name for name in KNOWN if name in names), names[0]), "set": next(iter(sets))},
        "headings": headings,
        "metrics": [
            {"key": key, "name": METRICS[key][0], "meaning": METRICS[key][1], "less": key in LESS_IS_BETTER,
             "rows": _table(key, names, found)}
            for key in METRICS
            if key in NAMES
        ],
        "landing": _landing(sets, classes),
        "open_set": [
            (name, part(item, "oltr_f_measure"))
            for name, item in (part(result, "scored", "open_set") or {}).items()
        ],
        "sweeps": _sweeps(part(result, "measured", "k_sweep"), list(sets)),
        "settings": _settings(part(result, "protocol")),
    }  # fmt: skip


def _settings(protocol: Any) -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    """Detector, what was chosen for it, and what to keep in mind about it."""
    choices, cautions = part(protocol, "detectors") or {}, part(protocol, "cautions") or {}
    return [
        (name, flat(choices.get(name) or {}), [str(text) for text in cautions.get(name) or []])
        for name in dict.fromkeys([*choices, *cautions])
        if choices.get(name) or cautions.get(name)
    ]


def _table(metric: str, names: list[str], found: list[Any]) -> list[dict[str, Any]]:
    """A row a detector, a cell a set; the best of each column is marked, equal ones together."""
    values = {name: [part(item, name, metric) for item in found] for name in names}
    best = []
    for place in range(len(found)):
        column = [row[place] for row in values.values() if row[place] is not None]
        best.append((min if metric in LESS_IS_BETTER else max)(column) if column else None)
    return [
        {"name": name, "cells": [{"value": value, "best": value is not None and len(names) > 1 and value == top}
                                 for value, top in zip(row, best, strict=True)]}
        for name, row in values.items()
    ]  # fmt: skip


def _landing(sets: Mapping[str, Any], classes: Classes | None) -> list[dict[str, Any]]:
    """Shares of the shot groups, stacked; first that of the classes themselves, to compare with."""
    rows = [(name, part(item, "landing") or {}) for name, item in sets.items()]
    rows = [(name, shares) for name, shares in rows if shares]
    if not rows:
        return []
    if classes is not None and classes.groups:
        size = len(classes.groups)
        rows.insert(0, ("", {group: classes.groups.count(group) / size for group in GROUPS if group in classes.groups}))
    found = []
    for name, shares in rows:
        start, parts = 0.0, []
        for group in GROUPS:
            width = share(shares.get(group))
            parts.append({"group": group, "value": shares.get(group), "start": round(start, 3), "width": width})
            start += width
        found.append({"name": name, "parts": parts})
    return found


def _sweeps(sweep: Any, sets: list[str]) -> list[dict[str, Any]]:
    """FPR95 (ID positive) against k, a panel a detector, a line a set."""
    found = []
    for detector, by_k in (sweep or {}).items():
        if not isinstance(by_k, Mapping):
            continue
        ks = sorted((int(k) for k in by_k if str(k).isdecimal()), key=int)
        table = {
            name: [(k, part(by_k.get(str(k), by_k.get(k)), name, "fpr95_id_positive")) for k in ks] for name in sets
        }
        known = [value for row in table.values() for _, value in row if value is not None]
        if len(ks) < 2 or not known:
            continue
        x, y = LogScale(ks[0] / 1.3, ks[-1] * 1.3), around(known, 0.02)
        found.append({
            "detector": detector,
            "x_ticks": _spaced([Tick(round(100 * x.at(k), 3), count_label(k)) for k in ks]),
            "y_ticks": y.ticks(percent=True),
            "lines": [
                {"set": name, "line": line(points, x, y), "dots": dots(points, x, y)}
                for name, points in ((name, [(k, v) for k, v in row if v is not None]) for name, row in table.items())
            ],
            "ks": ks,
            "rows": [{"set": name, "values": [value for _, value in row]} for name, row in table.items()],
        })  # fmt: skip
    return found


def _spaced(ticks: list[Tick], least: float = 8) -> list[Tick]:
    """Ticks without those whose labels would stand on the one before."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at >= least:
            kept.append(tick)
    return kept
