"""When every shard is finished: counts, error rows, lexicon, card and manifest, written by whoever finds it so.

Assembling twice gives the same bytes. The manifest comes last: a folder with a manifest is a whole data set.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from openmmlo.building.card import render_card
from openmmlo.building.masking import Lexicon
from openmmlo.building.measures import MEASURES, store
from openmmlo.building.plan import FORMAT, Shard
from openmmlo.building.word_counts import ShardCounts, write_counts
from openmmlo.building.workspace import Workspace
from openmmlo.data import BuiltDataset
from openmmlo.records import DatasetInfo
from openmmlo.writing import write_aside


def assemble(workspace: Workspace, state: dict[str, Any], info: DatasetInfo, lexicon: Lexicon) -> dict[str, Any]:
    """Write everything beside the shards and return the manifest.

    Args:
        state: what plan.json holds (identity, fingerprint, shards, list hashes), and ``learnt``: what the captioner
            said of itself while it worked.
    """
    shards = [Shard(**item) for item in state["shards"]]
    splits: dict[str, dict[str, Any]] = {
        split: {
            "planned": 0,
            "rows": 0,
            "errors": {},
            "list_hash": value,
            "masked_rows": 0,
            "ood_rows": 0,
            "masked_ood_rows": 0,
        }
        for split, value in state["list_hashes"].items()
    }
    counts = ShardCounts()
    files: list[dict[str, Any]] = []
    errors: list[str] = []
    seconds, halved = 0.0, 0
    ran_on: dict[str, set[str]] = {}
    for shard in shards:
        summary = json.loads(workspace.summary(shard.name).read_bytes())
        split = splits[shard.split]
        split["planned"] += len(shard)
        split["rows"] += summary["rows"]
        for key in ("ood_rows", "masked_ood_rows"):
            split[key] += summary[key]
        for error in summary["errors"]:
            split["errors"][error["status"]] = split["errors"].get(error["status"], 0) + 1
            errors.append(json.dumps({**error, "shard": shard.name}, ensure_ascii=True))
        counts.merge(ShardCounts.from_json(summary["counts"]))
        seconds += summary["seconds"]
        halved += summary["halved_batches"]
        for package, found in summary["versions"].items():
            ran_on.setdefault(package, set()).update(found.split(", "))
        path = workspace.parquet(shard.name).relative_to(workspace.out).as_posix()
        facts = {key: summary[key] for key in ("rows", "bytes", "sha256")}
        files.append({"path": path, "split": shard.split, **facts})
    for name, entry in splits.items():
        entry["masked_rows"] = counts.splits[name].masked_rows if name in counts.splits else 0
    identity = state["identity"]
    rows = sum(entry["rows"] for entry in splits.values())
    manifest = {
        "format": FORMAT,
        "openmmlo": state["openmmlo"],
        "fingerprint": state["fingerprint"],
        "source": {
            "name": info.name,
            "version": info.version,
            "licence": info.licence,
            "label_map_hash": info.label_map_hash,
            "homepage": info.homepage,
            "citation": info.citation,
            "notes": list(info.notes),
        },
        "splits": splits,
        "classes": _classes(info),
        "captioner": {**identity["captioner"], **state.get("learnt", {})},
        "masking": {**identity["masking"], "whole_lexicon_hash": lexicon.hash, "mask": "[mask]"},
        "files": files,
        "with_images": identity["with_images"],
        "max_pixels": identity["max_pixels"],
        "versions": {package: ", ".join(sorted(found)) for package, found in sorted(ran_on.items())},
        "run": {
            "caption_seconds": round(seconds, 3),
            "images_per_caption_second": round(rows / seconds, 3) if seconds else None,
            "halved_batches": halved,
        },
    }
    write_counts(workspace.out, counts, info)
    write_aside(workspace.errors, "".join(f"{line}\n" for line in errors))
    write_aside(workspace.out / "lexicon.json", lexicon.to_json())
    write_aside(workspace.out / "classes.json", json.dumps(info.to_json(), indent=0, ensure_ascii=True) + "\n")
    dataset = BuiltDataset(workspace.out, manifest, info)
    measures = {name: store.load(workspace.out, name, dataset.digest) for name in MEASURES}
    write_aside(workspace.out / "README.md", render_card(manifest, info, measures))
    write_aside(workspace.manifest, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return manifest


def _classes(info: DatasetInfo) -> dict[str, Any]:
    entry: dict[str, Any] = {"count": len(info.classes)}
    if info.train_counts is not None:
        groups = Counter(info.shot_groups())
        entry |= {
            "train_total": sum(info.train_counts),
            "train_max": max(info.train_counts, default=0),
            "train_min": min(info.train_counts, default=0),
            "shot_groups": {name: groups[name] for name in ("many", "medium", "few")},
        }
    return entry
