"""Everything decided before the first image is read: source, captioner, lexicon, plan, and whether it may go on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openmmlo import __version__
from openmmlo.building.captioners import Captioner, default_captioner, open_captioner
from openmmlo.building.configuration import BuildConfig
from openmmlo.building.masking import LEXICON_VERSION, Lexicon, MaskLevel, build_lexicon
from openmmlo.building.plan import FORMAT, Plan, fingerprint, make_plan, refuse_difference
from openmmlo.building.workspace import Workspace, write_aside
from openmmlo.errors import BuildRefused, DataError, UnknownName
from openmmlo.records import DatasetInfo, Finding, Source, digest_of
from openmmlo.sources import open_source


@dataclass(frozen=True)
class Preparation:
    """Everything decided before the first image is read."""

    source: Source
    info: DatasetInfo
    captioner: Captioner
    lexicon: Lexicon
    plan: Plan
    state: dict[str, Any]
    findings: list[Finding]


def examine(config: BuildConfig) -> tuple[list[Finding], Plan | None]:
    """Everything that a check finds, each image looked for, and the plan where one can be made; for a dry run."""
    source, captioner, splits = _open(config)
    findings = source.check(splits)
    plan = make_plan(source, splits, config.shard_size, config.limit) if not blocking(config, findings) else None
    return [*findings, *captioner.check()], plan


def prepare(config: BuildConfig, workspace: Workspace) -> Preparation:
    """Open, check and plan; nothing is written.

    Raises:
        DataError: an error finding, images that are missing among them unless that is allowed.
    """
    source, captioner, splits = _open(config)
    of_captioner = captioner.check()
    findings = [*source.check(splits, look=False), *of_captioner]
    _refuse_errors(config, findings)
    info = source.info()
    plan = make_plan(source, splits, config.shard_size, config.limit, _agreed_cut(workspace, config.shard_size))
    if plan.problems():
        findings = [*source.check(splits), *of_captioner]
        _refuse_errors(config, findings)
    lexicon = _lexicon(workspace, info, config.mask_level)
    identity = {
        "format": FORMAT,
        "plan": {"digest": plan.digest, "shard_size": config.shard_size, "limit": config.limit},
        "source": {"name": info.name, "version": info.version, "label_map_hash": info.label_map_hash},
        "captioner": captioner.identity(),
        "masking": {"level": config.mask_level, "lexicon_hash": lexicon.hash},
        "with_images": config.with_images,
        "max_pixels": config.max_pixels,
    }
    state = {
        "openmmlo": __version__,
        "fingerprint": fingerprint(identity),
        "identity": identity,
        "shard_rows": plan.shard_rows,
        "group_rows": plan.group_rows,
        "list_hashes": plan.list_hashes,
        "shards": [asdict(shard) for shard in plan.shards],
    }
    return Preparation(source, info, captioner, lexicon, plan, state, findings)


def _lexicon(workspace: Workspace, info: DatasetInfo, level: MaskLevel) -> Lexicon:
    """The lexicon of these names, from the build's own copy where it was made of the same: expanding takes seconds."""
    try:
        kept = json.loads(workspace.lexicon.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return build_lexicon(info, level)
    same = kept["key"] == _lexicon_key(info, level)
    return Lexicon.from_json(kept["lexicon"]) if same else build_lexicon(info, level)


def _lexicon_key(info: DatasetInfo, level: MaskLevel) -> str:
    """Digest of everything that decides a lexicon."""
    names = [asdict(item) for item in (*info.classes, *info.ood_classes)]
    return digest_of([info.name, names, level, LEXICON_VERSION, version("inflect")])


def _open(config: BuildConfig) -> tuple[Source, Captioner, tuple[str, ...]]:
    source = open_source(config.source, config.source_options)
    _refuse_output_among_images(config.out, getattr(source, "images", None))
    name = default_captioner(source.name) if config.captioner == "auto" else config.captioner
    return source, open_captioner(name, config.captioner_options), _chosen_splits(config, source)


def _refuse_errors(config: BuildConfig, findings: list[Finding]) -> None:
    errors = blocking(config, findings)
    if errors:
        lines = "\n".join(f"- {finding.what} {finding.remedy}".rstrip() for finding in errors)
        raise DataError(f"{config.source} cannot be built yet:\n{lines}")


def blocking(config: BuildConfig, findings: list[Finding]) -> list[Finding]:
    """The findings that stop this build."""
    passable = config.allow_missing
    return [item for item in findings if item.level == "error" and not (passable and item.allowable)]


def _chosen_splits(config: BuildConfig, source: Source) -> tuple[str, ...]:
    known = source.splits()
    for split in config.splits:
        if split not in known:
            raise UnknownName(f"split of {source.name}", split, known)
    return tuple(split for split in known if not config.splits or split in config.splits)


def _refuse_output_among_images(out: Path, images: Path | None) -> None:
    if images is not None and Path(images).resolve() in (out.resolve(), *out.resolve().parents):
        raise BuildRefused(f"--out {out} lies inside the images' folder {images}; give a folder outside it.")


def _agreed_cut(workspace: Workspace, shard_size: int) -> tuple[int, int] | None:
    """Rows a shard and a row group that a begun build settled on: images that came since do not cut it anew."""
    try:
        state = json.loads(workspace.plan_json.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    same = state["identity"]["plan"]["shard_size"] == shard_size
    return (state["shard_rows"], state["group_rows"]) if same else None


def refuse_other_build(workspace: Workspace, state: dict[str, Any]) -> None:
    if workspace.plan_json.is_file():
        before = json.loads(workspace.plan_json.read_bytes())
        refuse_difference(before["identity"], state["identity"], workspace.out)


def record(workspace: Workspace, prepared: Preparation, level: MaskLevel) -> bool:
    """Write plan.json, or see that the one there is of the same build; False where that one cuts its shards otherwise.

    Raises:
        BuildRefused: it is of another build.
    """
    state, key = prepared.state, _lexicon_key(prepared.info, level)
    with workspace.lock("plan", f"Another process is planning {workspace.out}; try again in a moment."):
        if workspace.plan_json.is_file():
            refuse_other_build(workspace, state)
            before = json.loads(workspace.plan_json.read_bytes())
            return bool(before["shards"] == state["shards"] and before["group_rows"] == state["group_rows"])
        write_aside(workspace.lexicon, json.dumps({"key": key, "lexicon": prepared.lexicon.to_json()}))
        write_aside(workspace.plan_json, json.dumps(state, ensure_ascii=True))
    return True
