"""How a run ends: whoever finds every shard finished makes the data set whole, and all are told how far it is."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from openmmlo.building.assemble import assemble
from openmmlo.building.captioners import KeepsBooks
from openmmlo.building.configuration import BuildResult
from openmmlo.building.plan import Shard
from openmmlo.building.promotion import promote
from openmmlo.building.worker import WorkerSpec
from openmmlo.building.workspace import Workspace
from openmmlo.writing import space_needed


def conclude(spec: WorkerSpec, state: dict[str, Any], seconds: float, built: int, warnings: list[str]) -> BuildResult:
    """Assemble where every shard is finished, a recaption in the place of what was there, and sum up what is there."""
    workspace = spec.workspace
    shards = [Shard(**item) for item in state["shards"]]
    names = [shard.name for shard in shards]
    manifest: dict[str, Any] | None = None
    promoted = workspace.recaption and workspace.plan() is None  # by another slice of it
    if promoted or len(workspace.finished(names)) == len(shards):
        refusal = f"Another process has been assembling {workspace.out} for long; run again to see how it ended."
        with workspace.main.lock("assembly", refusal, patience=600), space_needed(workspace.out):
            if not workspace.recaption or promote(workspace, spec.plan_name, spec.source):
                manifest = _assemble(workspace.main, spec, state["fingerprint"], names)
    rows: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    if manifest is not None:
        remaining, halved = 0, manifest["run"]["halved_batches"]
        for split, entry in manifest["splits"].items():
            rows[split] += entry["rows"]
            errors.update(entry["errors"])
    else:
        finished = workspace.finished(names)
        remaining, halved = len(shards) - len(finished), 0
        for shard in shards:
            if shard.name in finished:
                summary = json.loads(workspace.summary(shard.name).read_bytes())
                rows[shard.split] += summary["rows"]
                errors.update(error["status"] for error in summary["errors"])
                halved += summary["halved_batches"]
    return BuildResult(
        out=workspace.out,
        complete=manifest is not None,
        planned=sum(map(len, shards)),
        rows=dict(rows),
        errors=dict(sorted(errors.items())),
        seconds=round(seconds, 3),
        images_per_second=round(built / seconds, 2) if seconds else 0.0,
        remaining_shards=remaining,
        fingerprint=state["fingerprint"],
        halved_batches=halved,
        warnings=warnings,
        masks=_masks(manifest) if manifest else {},
    )


def _masks(manifest: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Rows, and rows with a mask, in and out of distribution."""
    splits = manifest["splits"].values()
    rows, ood = (sum(entry[key] for entry in splits) for key in ("rows", "ood_rows"))
    masked, masked_ood = (sum(entry[key] for entry in splits) for key in ("masked_rows", "masked_ood_rows"))
    return {"id": {"rows": rows - ood, "masked": masked - masked_ood}, "ood": {"rows": ood, "masked": masked_ood}}


def _assemble(main: Workspace, spec: WorkerSpec, fingerprint: str, names: list[str]) -> dict[str, Any] | None:
    """The manifest; None where the folder is not whole any more, for another builder began anew on it."""
    state = main.plan()
    if state is None or state["fingerprint"] != fingerprint or len(main.finished(names)) < len(names):
        return None
    captioner = spec.captioner
    if isinstance(captioner, KeepsBooks):
        state["learnt"] = captioner.learnt(main.books(captioner.identity()))
    return assemble(main, state, spec.info, spec.masker.lexicon)
