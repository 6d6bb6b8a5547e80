"""The measured block comes in; other classifiers, the ablation of captions and the leak audit beside it go out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.evaluate.report.facts import flat
from openmmlo.evaluate.report.head import main_set
from openmmlo.pages.wording import part, share

NAMES = {
    "model": "the model’s own", "zero-shot": "zero-shot", "linear-probe": "linear probe", "ncm": "nearest class mean",
    "knn": "k nearest neighbours",
}  # fmt: skip
WORDINGS = ("masked", "raw")
CAPTION_MODES = {
    "image_only": "image only",
    "caption_only masked": "caption only, masked", "both masked": "image and masked caption",
    "caption_only raw": "caption only, as written", "both raw": "image and caption as written",
    "own image_only": "own classifier, image only", "own masked": "own classifier, image and masked caption",
    "own raw": "own classifier, image and caption as written",
    "majority": "always the largest class", "chance": "chance",
}  # fmt: skip
"""What was read -> how tables call it; where no classifier is named, it is one fitted on frozen features."""

_SUMMARY = {
    "rows", "classes_tested", "top1_samples", "top1_classes", "groups", "harmonic_mean", "worst_10_percent",
    "false_head_rate", "calibration_error", "per_class", "group_confusion", "test_priors",
}  # fmt: skip


def classifier_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a classifier on the test set; the one whose predictions are scored is marked."""
    scored = part(result, "classifier", "kind")
    rows = _rows(part(result, "measured", "classifiers"), NAMES)
    if rows and scored is not None and not any(row["key"] == scored for row in rows):
        rows = [*_rows({scored: main_set(result)[1]}, NAMES), *rows]
    for row in rows:
        row["scored"] = row["key"] == scored
    return rows


def caption_view(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Accuracy with the image, the caption and both, what else was said of it, and the leak audit; None without."""
    captions, audit = (part(result, "measured", key) for key in ("captions", "audit"))
    if not isinstance(captions, Mapping) and not isinstance(audit, Mapping):
        return None
    modes = caption_modes(captions)
    rows = _rows({key: modes[key] for key in CAPTION_MODES if key in modes}, CAPTION_MODES)
    shown = {row["key"] for row in rows}
    return {
        "rows": rows,
        "others": flat({key: item for key, item in modes.items() if key not in shown}, rates=True),
        "audit": flat(audit, rates=True) if isinstance(audit, Mapping) else [],
    }


def caption_modes(captions: Any) -> dict[str, Any]:
    """The caption ablation, a summary under each name of CAPTION_MODES; what else it holds under names of its own."""
    modes = dict(captions) if isinstance(captions, Mapping) else {}
    for wording in WORDINGS:
        modes |= {f"{key} {wording}": item for key, item in (modes.pop(wording, None) or {}).items()}
    return modes | {f"own {key}": item for key, item in (modes.pop("own", None) or {}).items() if item is not None}


def _rows(found: Any, names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "name": names.get(key, str(key).replace("_", " ")),
            **{name: item.get(name) for name in _SUMMARY},
            "groups": part(item, "groups") or {},
            "width": share(part(item, "top1_samples")),
            "choices": flat(part(item, "choices") or {}),
            "scored": False,
        }
        for key, item in (found or {}).items()
        if isinstance(item, Mapping) and "top1_samples" in item
    ]
