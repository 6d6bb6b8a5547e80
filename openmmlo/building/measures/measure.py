"""Everything that is measured on a whole data set, one after another: statistics, quality, audit, card, report.

What is there already, of this very data, is not measured again; so a stage that was killed goes on, and a folder that
is whole is left as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openmmlo.building.card import render_card
from openmmlo.building.configuration import Measured
from openmmlo.building.measures import MEASURES, store
from openmmlo.building.workspace import Workspace
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.errors import BuildRefused, OpenmmloError
from openmmlo.progress import Progress, Silent
from openmmlo.records import digest_of
from openmmlo.writing import space_needed, write_aside

Measures = dict[str, dict[str, Any] | None]

REPORT = "report.html"

_SAYS = {
    "stats": "counting words and classes",
    "quality": "looking the captions over",
    "audit": "looking for what the masks let through",
    "report": "drawing the report",
}


def measure(folder: Path | str, progress: Progress | None = None) -> Measured:
    """Take what has not been measured of a built data set, put the numbers into its card, and draw its report.

    A measure that fails keeps none of the others from being taken; the result says which one, and why.

    Raises:
        DataError: not a built data set, or not a whole one.
    """
    folder, report = Path(folder), progress or Silent()
    dataset = open_dataset(folder)
    failed: dict[str, str] = {}

    def attempt(name: str, action: Callable[[], object]) -> None:
        try:
            with space_needed(folder):
                action()
        except Exception as error:  # whatever it is, the data set is whole without it
            failed[name] = str(error) if isinstance(error, OpenmmloError) else f"{type(error).__name__}: {error}"
            report.close()
            if _workspace(folder):
                Workspace(folder).log("failure", measure=name, reason=failed[name])

    with _alone(folder) as alone:
        if not alone:
            report.say("Another process measures this data set.")
            return Measured()
        for name in MEASURES:
            if store.load(folder, name, dataset.digest) is None:
                attempt(name, lambda name=name: _take(dataset, name, report))  # type: ignore[misc]
        attempt("card", lambda: _write_card(dataset))
        if not _is_drawn(dataset):
            attempt("report", lambda: _draw(dataset, folder / REPORT, report))
    return _summary(dataset, failed)


def stats(folder: Path | str, progress: Progress | None = None) -> dict[str, Any]:
    """Count classes and words of a built data set, and write stats.json beside it.

    Raises:
        DataError: not a built data set, or a damaged one.
    """
    return _anew(folder, "stats", progress)


def quality(
    folder: Path | str, tokenizer: str = "auto", progress: Progress | None = None, **options: Any
) -> dict[str, Any]:
    """Look over the captions of a built data set, and write quality.json beside it; options as ``measure_quality``.

    Raises:
        DataError: not a built data set, or a damaged one.
    """
    return _anew(folder, "quality", progress, tokenizer=tokenizer, **options)


def audit(
    folder: Path | str,
    level: str | None = None,
    splits: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Say what masked captions give away; audit.json is written where it is about all of them as they are.

    Args:
        level: judge masks of this level instead of the data set's own.
        splits: look at these alone.

    Raises:
        DataError: not a built data set, or a damaged one.
    """
    dataset = open_dataset(folder)
    if splits or level not in (None, dataset.manifest["masking"]["level"]):
        found: dict[str, Any] = MEASURES.load("audit")(dataset, level, progress=progress, splits=tuple(splits))
        return found
    return _anew(folder, "audit", progress)


def report(folder: Path | str, to: Path | None = None, progress: Progress | None = None) -> Path:
    """Draw a built data set on one page, with what was measured of it so far; by default its report.html.

    Raises:
        DataError: not a built data set, a damaged one, or no place for a file.
    """
    dataset = open_dataset(folder)
    return _draw(dataset, dataset.folder / REPORT if to is None else Path(to), progress or Silent())


def load_measures(dataset: BuiltDataset) -> Measures:
    """What was measured of this very data; None where a measure was not taken."""
    return {name: store.load(dataset.folder, name, dataset.digest) for name in MEASURES}


def _anew(folder: Path | str, name: str, progress: Progress | None, **options: Any) -> dict[str, Any]:
    dataset = open_dataset(folder)
    with space_needed(dataset.folder):
        found = _take(dataset, name, progress or Silent(), **options)
        _write_card(dataset)
    return found


def _take(dataset: BuiltDataset, name: str, progress: Progress, **options: Any) -> dict[str, Any]:
    progress.say(f"{name}: {_SAYS[name]}")
    found: dict[str, Any] = MEASURES.load(name)(dataset, progress=progress, **options)
    store.save(dataset.folder, name, found)
    return found


def _write_card(dataset: BuiltDataset) -> None:
    """The card with the numbers. That of a data set that was fetched stays as it was published."""
    if _workspace(dataset.folder):
        write_aside(dataset.folder / "README.md", render_card(dataset.manifest, dataset.info, load_measures(dataset)))


def _draw(dataset: BuiltDataset, path: Path, progress: Progress) -> Path:
    from openmmlo.building.report import write_report

    progress.say(f"report: {_SAYS['report']}")
    write_report(dataset, load_measures(dataset), path, progress)
    if path == dataset.folder / REPORT and _workspace(dataset.folder):
        write_aside(_stamp(dataset.folder), json.dumps(_drawn_from(dataset, path)))
    return path


def _is_drawn(dataset: BuiltDataset) -> bool:
    """Whether the report there is was drawn from these data and measures by this version."""
    try:
        before = json.loads(_stamp(dataset.folder).read_bytes())
        return bool(before == _drawn_from(dataset, dataset.folder / REPORT))
    except (OSError, ValueError):
        return False


def _stamp(folder: Path) -> Path:
    return Workspace(folder).state / "report.json"


def _drawn_from(dataset: BuiltDataset, path: Path) -> dict[str, str]:
    from openmmlo import __version__

    of = digest_of([__version__, dataset.digest, load_measures(dataset)])
    return {"of": of, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _workspace(folder: Path) -> bool:
    """Whether a data set was built here, and not fetched from somewhere."""
    return Workspace(folder).state.is_dir()


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the lock of measuring, where there are builders that could measure too; gives False where it is held."""
    if not _workspace(folder):
        yield True
        return
    workspace = Workspace(folder)
    workspace.make()
    try:
        lock = workspace.lock("measures", "", patience=0)
        lock.__enter__()
    except BuildRefused:
        yield False
        return
    try:
        yield True
    finally:
        lock.__exit__(None, None, None)


def _summary(dataset: BuiltDataset, failed: dict[str, str]) -> Measured:
    path = dataset.folder / REPORT
    found = (load_measures(dataset)["audit"] or {}).get("leaks") or {}
    leaks = (found.get("all") or {}).get("any") or {}
    return Measured(
        leak_rate=leaks.get("rate"),
        report=path if path.is_file() and "report" not in failed else None,
        failed=failed,
    )
