"""A recaption that is whole takes the place of what was there before, at once and for every reader.

Until then the folder's own data set lies untouched beside it. A rename of one folder decides; whatever is killed after
it is completed by the next builder, before it looks at anything else.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from openmmlo.building.journal import Journal
from openmmlo.building.plan import Shard, read_shard
from openmmlo.building.recaption import finished_or_journalled
from openmmlo.building.workspace import Workspace
from openmmlo.records import Source
from openmmlo.writing import sync_folder, write_aside

_BUSY = "Another process is planning {out}; try again in a moment."


def promote(recaption: Workspace, slice_name: str, source: Source) -> bool:
    """Put a whole recaption in the place of the folder's own build; the caller holds the lock of assembly.

    Captions of another captioner, which may have cost days, are kept as journals first.

    Args:
        slice_name: of a slice whose plan table is at hand.

    Returns:
        False while another builder is at work in this folder, on whichever of its builds: it may read what is here.
    """
    main = recaption.main
    with main.lock("plan", _BUSY.format(out=main.out)), main.nobody_at_work() as alone:
        now = recaption.plan()
        if now is None:  # another slice of it has promoted it
            return True
        shards = [Shard(**item) for item in now["shards"]]
        if not alone or len(recaption.finished([shard.name for shard in shards])) < len(shards):
            return False
        before = main.plan() or {}
        if before["identity"]["captioner"] != now["identity"]["captioner"]:
            _keep_captions(
                main, main.kept_captions(before["identity"]["captioner"]), shards, recaption, slice_name, source
            )
        shutil.rmtree(main.kept_captions(now["identity"]["captioner"]), ignore_errors=True)  # they are in use again
        recaption.state.rename(main.promoting)
        sync_folder(main.state)
        _complete(main)
    return True


def complete_promotion(main: Workspace) -> None:
    """Go on with a promotion that was killed; the caller holds no lock."""
    if main.promoting.is_dir():
        refusal = f"Another process has been assembling {main.out} for long; run again to see how it ended."
        with main.lock("assembly", refusal, patience=600), main.lock("plan", _BUSY.format(out=main.out)):
            if main.promoting.is_dir():
                _complete(main)


def _keep_captions(
    main: Workspace, folder: Path, shards: list[Shard], recaption: Workspace, slice_name: str, source: Source
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        samples = read_shard(recaption.plan_table(slice_name), shard, source)
        frames = finished_or_journalled(main, shard, samples)
        if frames:
            Journal(folder / f"{shard.name}.journal").replace(frames)


def _complete(main: Workspace) -> None:
    """Move everything to its place; doing it twice changes nothing."""
    main.unpublish()
    for left in (*main.state.glob("journals/*"), *main.state.glob("shards/*.tmp")):
        left.unlink()
    for name in ("lexicon.json", "plan.json"):
        if (main.promoting / name).is_file():
            write_aside(main.state / name, (main.promoting / name).read_bytes())
    for folder, to in (("plans", main.state / "plans"), ("shards", main.state / "shards"), ("data", main.data)):
        for path in sorted((main.promoting / folder).glob("[!.]*")):
            if path.suffix != ".tmp":
                path.replace(to / path.name)
        sync_folder(to)
    shutil.rmtree(main.promoting)
