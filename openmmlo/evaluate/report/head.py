"""A result comes in; what stands at the head of the page goes out: the model, the benchmark, the headline numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.report.classes import MEANINGS
from openmmlo.pages.wording import counted, part, share

KNOWN = ("msp", "energy", "knn")
"""Detectors whose numbers stand at the head: those that readers compare with."""

RULES = {"paper": "many over 100 training images, medium 20 to 100, few under 20",
         "oltr": "OLTR’s own rule: many 100 training images or more, medium 21 to 99, few 20 or fewer"}  # fmt: skip


def head(result: Mapping[str, Any]) -> dict[str, Any]:
    """Name, a sentence on what was evaluated, figures, detectors at a glance, and what to keep in mind."""
    model, benchmark = part(result, "model") or {}, part(result, "benchmark") or {}
    test, main = main_set(result)
    shots = str(part(benchmark, "shots") or "paper")
    return {
        "name": str(part(model, "name") or "model"),
        "benchmark": str(part(benchmark, "name") or "benchmark"),
        "version": part(benchmark, "version"),
        "title": str(part(benchmark, "title") or ""),
        "classifier": part(result, "classifier", "kind"),
        "tested": " of ".join(filter(None, [_rows(main), _classes(main)])),
        "set": test,
        "rule": RULES.get(shots, shots),
        "seed": part(result, "seed"),
        "all": [
            {"label": "top-1, all images", "value": part(main, "top1_samples"), "note": _rows(main)},
            {"label": "top-1, mean over classes", "value": part(main, "top1_classes"), "note": _classes(main)},
        ],
        "groups": [
            {"group": group, "value": part(main, "groups", group), "width": share(part(main, "groups", group)),
             "meaning": MEANINGS.get(shots, MEANINGS["paper"])[group]}
            for group in GROUPS
            if part(main, "groups", group) is not None
        ],
        "detectors": _detectors(result),
        "not_run": [_reason(item) for item in part(result, "not_run") or []],
        "warnings": [str(text) for text in part(result, "warnings") or []],
        "departures": [str(text) for text in part(result, "departures") or []],
    }  # fmt: skip


def main_set(result: Mapping[str, Any]) -> tuple[str, Any]:
    """Name and scores of the test set: the first set that is classified."""
    sets = part(result, "scored", "classification") or {}
    return next(iter(sets.items()), ("", None))


def _rows(main: Any) -> str:
    return "" if part(main, "rows") is None else counted(main["rows"], "test image")


def _classes(main: Any) -> str:
    return "" if part(main, "classes_tested") is None else counted(main["classes_tested"], "class", "classes")


def _detectors(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """AUROC and FPR95 of the best-known detectors, a row a set."""
    sets = part(result, "scored", "ood") or {}
    have = list(dict.fromkeys(name for item in sets.values() for name in part(item, "detectors") or {}))
    names = [name for name in KNOWN if name in have] or have[: len(KNOWN)]
    if not names:
        return None
    rows = [
        {"set": name, "rows": part(item, "rows"), "group": part(item, "group") or "",
         "cells": [
             {"auroc": part(item, "detectors", detector, "auroc"),
              "fpr95": part(item, "detectors", detector, "fpr95_id_positive")}
             for detector in names
         ]}
        for name, item in sets.items()
    ]  # fmt: skip
    return {"names": names, "rows": rows, "others": len(have) - len(names)}


def _reason(item: Any) -> dict[str, str]:
    if isinstance(item, Mapping):
        return {"what": str(item.get("what", "")), "reason": str(item.get("reason", ""))}
    return {"what": str(item), "reason": ""}
