"""Everything decided before the first image is read: source, captioner, lexicon, plan, and whether it may go on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openmmlo import __version__
from openmmlo.building.captioners import Captioner, default_captioner, open_captioner, reads_images
from openmmlo.building.configuration import BuildConfig
from openmmlo.building.masking import LEXICON_VERSION, Lexicon, names_digest, open_lexicon, read_lexicon
from openmmlo.building.plan import FORMAT, Plan, Shard, fingerprint, make_plan, refuse_difference
from openmmlo.building.recaption import Earlier
from openmmlo.building.wordnet import VERSION as WORDNET_VERSION
from openmmlo.building.workspace import Workspace
from openmmlo.errors import BuildRefused, DataError, UnknownName
from openmmlo.records import DatasetInfo, Finding, Source, Status, digest_of
from openmmlo.sources import open_source
from openmmlo.writing import write_aside


@dataclass(frozen=True)
class Preparation:
    """Everything decided before the first image is read.

    ``workspace`` is where it is built: the folder's own build, or a recaption beside it, which starts from
    ``earlier``.
    """

    source: Source
    info: DatasetInfo
    captioner: Captioner
    lexicon: Lexicon
    lexicon_key: str
    plan: Plan
    state: dict[str, Any]
    findings: list[Finding]
    workspace: Workspace
    earlier: Earlier | None


def examine(config: BuildConfig) -> tuple[list[Finding], Plan | None]:
    """Everything that a check finds, each image looked for, and the plan where one can be made; for a dry run."""
    source, captioner, splits = _open(config)
    findings = source.check(splits)
    plan = make_plan(source, splits, config.shard_size, config.limit) if not blocking(config, findings) else None
    return [*findings, *captioner.check()], plan


def prepare(config: BuildConfig, main: Workspace) -> Preparation:
    """Open, check and plan; nothing is written.

    A configuration goes on with the build of the folder that has its identity: the folder's own, or a recaption that
    was begun there. One that differs in the captioner or the mask alone begins a recaption, where that is asked for.

    Raises:
        DataError: an error finding, images that are missing among them unless that is allowed; findings about what
            this build needs no more are passed over.
        BuildRefused: the folder holds another build.
    """
    source, captioner, splits = _open(config)
    of_source, of_captioner = source.check(splits, look=False), captioner.check()
    current = main.plan()
    if current is None:
        _refuse_errors(config, [*of_source, *of_captioner])
    try:
        info = source.info()
        plan = make_plan(source, splits, config.shard_size, config.limit, _agreed_cut(current, config.shard_size))
    except DataError:
        _refuse_errors(config, of_source)  # these say better what is missing
        raise
    lexicon_key = _lexicon_key(info, config.lexicon)
    given = _Given(config, info, captioner.identity(), plan)
    workspace, lexicon, identity = _choose(config, main, given, lexicon_key)
    earlier = None
    if workspace.recaption and current is not None:
        before, now = current["identity"]["captioner"], identity["captioner"]
        same = digest_of(before) == digest_of(now)
        earlier = Earlier(main, current["fingerprint"], same, main.kept_captions(now), failures(config))
    pixels, captions = _needed(config, workspace, earlier, plan, captioner)
    if any(plan.table["problem"].slice(shard.start, len(shard)).null_count < len(shard) for shard in pixels):
        of_source = source.check(splits)
    findings = [*_binding(of_source, bool(pixels)), *_binding(of_captioner, captions)]
    _refuse_errors(config, findings)
    state = {
        "openmmlo": __version__,
        "fingerprint": fingerprint(identity),
        "identity": identity,
        "shard_rows": plan.shard_rows,
        "group_rows": plan.group_rows,
        "list_hashes": plan.list_hashes,
        "shards": [asdict(shard) for shard in plan.shards],
    }
    return Preparation(
        source=source,
        info=info,
        captioner=captioner,
        lexicon=lexicon,
        lexicon_key=lexicon_key,
        plan=plan,
        state=state,
        findings=[*findings, *_without_hypernyms(lexicon, config.mask_level), *_about(earlier, captioner, pixels)],
        workspace=workspace,
        earlier=earlier,
    )


@dataclass(frozen=True)
class _Given:
    """What decides a build besides its lexicon."""

    config: BuildConfig
    info: DatasetInfo
    captioner: dict[str, Any]
    plan: Plan

    def identity(self, lexicon_hash: str) -> dict[str, Any]:
        config, info = self.config, self.info
        return {
            "format": FORMAT,
            "plan": {"digest": self.plan.digest, "shard_size": config.shard_size, "limit": config.limit},
            "source": {"name": info.name, "version": info.version, "label_map_hash": info.label_map_hash},
            "captioner": self.captioner,
            "masking": {"level": config.mask_level, "lexicon_hash": lexicon_hash},
            "with_images": config.with_images,
            "max_pixels": config.max_pixels,
        }


def _choose(config: BuildConfig, main: Workspace, given: _Given, key: str) -> tuple[Workspace, Lexicon, dict[str, Any]]:
    """The build of this folder that a configuration goes on with or begins, its lexicon and its identity.

    A build's own copy of its lexicon is taken where it was made of the same names: expanding takes seconds, and
    whether WordNet was at hand was settled, for all builders, when it began.
    """
    known = {place: plan for place in (main, *main.recaptions()) if (plan := place.plan())}
    for place, plan in known.items():
        hash_there = plan["identity"]["masking"]["lexicon_hash"]
        if plan["fingerprint"] == fingerprint(given.identity(hash_there)):
            kept = json.loads(place.lexicon.read_bytes())
            if kept["key"] == key:
                lexicon = Lexicon.from_json(kept["lexicon"])
                level = config.mask_level
                if level in lexicon.levels and lexicon.level_hash(level) == hash_there:
                    return place, lexicon, given.identity(hash_there)
    lexicon = open_lexicon(given.info, config.mask_level, config.lexicon)
    identity = given.identity(lexicon.level_hash(config.mask_level))
    for place, plan in known.items():
        if plan["fingerprint"] == fingerprint(identity):
            return place, lexicon, identity
    if main not in known:
        return main, lexicon, identity
    refuse_difference(known[main]["identity"], identity, main.out, config.recaption)
    return Workspace(main.out, fingerprint(identity)[:16]), lexicon, identity


def _needed(
    config: BuildConfig, workspace: Workspace, earlier: Earlier | None, plan: Plan, captioner: Captioner
) -> tuple[list[Shard], bool]:
    """Shards for which images are read from the source, and whether anything is captioned."""
    if config.retry:
        return list(plan.shards), True
    names = [shard.name for shard in plan.shards]
    left = set(names) - workspace.finished(names)
    if earlier is None:
        pixels, captions = left, bool(left)
    else:
        fresh = left - earlier.workspace.finished(names)
        captions = bool(fresh if earlier.same_captioner else left)
        held = earlier.same_captioner or config.with_images or not reads_images(captioner)
        pixels = fresh if held else left
    return [shard for shard in plan.shards if shard.name in pixels], captions


def _binding(findings: list[Finding], needed: bool) -> list[Finding]:
    """Findings without the errors about what is not needed any more."""
    return [finding for finding in findings if needed or finding.level != "error"]


def _about(earlier: Earlier | None, captioner: Captioner, pixels: list[Shard]) -> list[Finding]:
    """What a recaption keeps."""
    if earlier is None:
        return []
    kept = "captions stay, masks are made anew" if earlier.same_captioner else f"captions are made by {captioner.name}"
    where = (
        f"images of {len(pixels):,} shards are read from their source" if pixels else "no image is read from its source"
    )
    return [Finding("ok", f"recaption: {kept}; {where}. Until it is whole, what is in the folder stays as it is")]


def failures(config: BuildConfig) -> frozenset[str]:
    """Statuses of error rows that are tried again."""
    every = frozenset(status.value for status in Status if status is not Status.OK)
    return every if "failed" in config.retry else frozenset(config.retry)


def _lexicon_key(info: DatasetInfo, file: Path | None) -> str:
    """Digest of everything that decides a lexicon."""
    given = read_lexicon(file).hash if file is not None else None
    return digest_of([names_digest(info), LEXICON_VERSION, WORDNET_VERSION, version("inflect"), given])


def _without_hypernyms(lexicon: Lexicon, level: str) -> list[Finding]:
    """A warning where WordNet has no broader term for some classes, and the level hides broader terms."""
    without = lexicon.classes_without("hypernym") if level == "hypernym" else ()
    if not without:
        return []
    return [
        Finding(
            "warning",
            f"mask level hypernym: WordNet knows no broader term for {len(without):,} of {len(lexicon.entries):,} "
            f"classes, for example {without[0]!r}",
            "these are masked as at the level head; further names in the class table may help",
        )
    ]


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


def _agreed_cut(state: dict[str, Any] | None, shard_size: int) -> tuple[int, int] | None:
    """Rows a shard and a row group that a begun build settled on: images that came since do not cut it anew."""
    if state is None or state["identity"]["plan"]["shard_size"] != shard_size:
        return None
    return state["shard_rows"], state["group_rows"]


def record(prepared: Preparation) -> bool:
    """Write plan.json, or see that the one there is of the same build; False where the folder changed meanwhile.

    It changes where another slice came first and cut the plan in another way, began another build, or completed one.
    """
    workspace, state = prepared.workspace, prepared.state
    with workspace.main.lock("plan", f"Another process is planning {workspace.out}; try again in a moment."):
        current = workspace.main.plan()
        replaced = prepared.earlier and (current is None or current["fingerprint"] != prepared.earlier.fingerprint)
        if workspace.promoting.is_dir() or replaced:
            return False
        before = workspace.plan()
        if before is not None:
            return all(before[key] == state[key] for key in ("fingerprint", "shards", "group_rows"))
        kept = {"key": prepared.lexicon_key, "lexicon": prepared.lexicon.to_json()}
        write_aside(workspace.lexicon, json.dumps(kept))
        write_aside(workspace.plan_json, json.dumps(state, ensure_ascii=True))
    return True
