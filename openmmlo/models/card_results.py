"""What ``openmmlo eval`` measured comes in; the numbers of a model card and the Hub's ``model-index`` go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DETECTORS = ("thp-knn", "energy")
"""Whose separation of OOD sets a card shows: two fixed ones, whatever another would have reached."""

READS = {
    "image": "the image", "masked": "the image and its masked caption", "raw": "the image and its caption as written",
}  # fmt: skip
"""What a number was measured on, in words."""

_METRICS = {"accuracy": "top-1", "accuracy_classes": "top-1, mean of classes", "auroc": "AUROC"}
_GROUPS = ("many", "medium", "few")


@dataclass(frozen=True, slots=True)
class CardResult:
    """One number of a card.

    Attributes:
        benchmark: name, and ``version`` of its definition.
        set: which of its sets.
        reads: "image", or "masked" or "raw": the image with such a caption.
        metric: "accuracy", "accuracy_classes" (or "accuracy_" and a shot group), or "auroc".
        value: a fraction.
        detector: of an AUROC.
        seeds: runs of which ``value`` is the mean, and ``deviation`` the standard deviation where they are several.
    """

    benchmark: str
    version: int
    set: str
    reads: str
    metric: str
    value: float
    detector: str = ""
    seeds: int = 1
    deviation: float | None = None

    @property
    def label(self) -> str:
        """What the number is, in words."""
        name = _METRICS.get(self.metric) or f"top-1, {self.metric.removeprefix('accuracy_')}-shot classes"
        return f"{name} of {self.detector}" if self.detector else name


def results_of(result: Mapping[str, Any], detectors: Sequence[str] = DETECTORS) -> list[CardResult]:
    """The numbers of a card from what result.json of an evaluation holds: images alone first, captions after them."""
    about = result["benchmark"]
    found: list[CardResult] = []

    def add(where: str, reads: str, values: Mapping[str, float | None], detector: str = "") -> None:
        for metric, value in values.items():
            if value is not None:
                found.append(CardResult(about["name"], about["version"], where, reads, metric, value, detector))

    for name, item in result["scored"]["classification"].items():
        add(name, "image", _accuracies(item))
    for name, item in result["scored"]["ood"].items():
        for detector in detectors:
            add(name, "image", {"auroc": item.get("detectors", {}).get(detector, {}).get("auroc")}, detector)
    own = (result["measured"].get("captions") or {}).get("own") or {}
    for wording in ("masked", "raw"):
        if own.get(wording) is not None:
            add(next(iter(result["scored"]["classification"])), wording, _accuracies(own[wording]))
    return found


def _accuracies(item: Mapping[str, Any]) -> dict[str, float | None]:
    groups = {f"accuracy_{group}": item.get("groups", {}).get(group) for group in _GROUPS}
    return {"accuracy": item.get("top1_samples"), "accuracy_classes": item.get("top1_classes"), **groups}


def metrics_of(results: Sequence[CardResult]) -> list[str]:
    """The Hub's names of the metrics among some results, for a card's ``metrics``."""
    return sorted({_type(item) for item in results})


def model_index(
    name: str, task: str, results: Sequence[CardResult], source: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The Hub's ``model-index`` of a model card, as plain values; numbers are fractions.

    Args:
        name: of the model.
        task: the Hub's name of what it does ("image-classification").
        source: where the numbers are from, ``name`` and ``url``.
    """
    index: dict[tuple[str, int, str, str], list[dict[str, Any]]] = {}
    for item in results:
        metric: dict[str, Any] = {"type": _type(item), "value": item.value, "name": item.label}
        if item.seeds > 1:
            metric["args"] = {"seeds": item.seeds, "standard_deviation": item.deviation}
        index.setdefault((item.benchmark, item.version, item.set, item.reads), []).append(metric)
    return [
        {
            "name": name,
            "results": [
                {
                    "task": {"type": task, "name": f"Reads {READS[reads]}"},
                    "dataset": {
                        "type": benchmark, "name": benchmark, "config": reads, "split": where, "revision": str(version),
                    },
                    "metrics": metrics,
                    **({"source": dict(source)} if source else {}),
                }
                for (benchmark, version, where, reads), metrics in index.items()
            ],
        }
    ]  # fmt: skip


def front_matter_yaml(front: Mapping[str, Any]) -> str:
    """A card's metadata as the lines that stand between its ``---``."""
    import yaml

    # In ASCII escapes no letter of a foreign name can be a line break to one of the many readers of front matter.
    return yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=False, width=2**31)


def _type(item: CardResult) -> str:
    return "roc_auc" if item.metric == "auroc" else "accuracy"
