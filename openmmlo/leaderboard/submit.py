"""Folders that ``openmmlo eval`` wrote come in, a seed each; a submission whose numbers are right goes out.

A proposal is made first and shows what it would change; only :meth:`Proposal.write` touches the board.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openmmlo.errors import ConfigError, DataError, SubmissionRefused
from openmmlo.evaluate.benchmark import benchmark_names, load_benchmark
from openmmlo.evaluate.result import PREDICTIONS, RESULT
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.guard import read_bounded
from openmmlo.leaderboard.limits import address, line, printable, read_file, read_json, slug, told
from openmmlo.leaderboard.rescore import compute_mark, most_rows, today
from openmmlo.leaderboard.submission import (
    BOARD_BYTES,
    ON_BOARD,
    Place,
    PredictionsFile,
    Run,
    Setting,
    Submission,
    checked_result,
    read_submission,
)
from openmmlo.writing import space_needed, write_aside


@dataclass(frozen=True)
class About:
    """What authors say of a method, beside its results.

    Attributes:
        entry: file name of the entry; made from ``name`` where None.
        method: key of METHODS.
        backbone, pretraining, captions, training_set: taken from the results where None, if they hold it.
    """

    name: str
    authors: tuple[str, ...]
    paper: str | None = None
    code: str | None = None
    entry: str | None = None
    method: str | None = None
    note: str | None = None
    backbone: str | None = None
    pretraining: str | None = None
    captions: str | None = None
    training_set: str | None = None
    auxiliary_data: str | None = None


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A folder that ``openmmlo eval`` wrote: its result, and which predictions, byte for byte."""

    folder: Path
    result: Mapping[str, Any]
    predictions: Path
    sha256: str
    bytes: int
    rows: int

    @property
    def benchmark(self) -> str:
        return str(self.result["benchmark"]["name"])


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a submission would change on a board.

    Attributes:
        submission: as it would be written.
        path: of its file.
        before: bytes of that file now, None where there is none.
        predictions: file on the board -> file to copy there; what is there already is not among them.
    """

    submission: Submission
    path: Path
    before: bytes | None
    predictions: Mapping[Path, Path]

    @property
    def content(self) -> bytes:
        """Bytes of the file."""
        return self.submission.to_bytes()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.content != self.before or bool(self.predictions)

    def diff(self) -> str:
        """The change of the submission's file, as ``diff -u`` writes it."""
        name = f"{self.path.parent.name}/{self.path.name}"
        lines = difflib.unified_diff(
            (self.before or b"").decode("ascii", "replace").splitlines(),
            self.content.decode("ascii").splitlines(),
            f"a/{name}" if self.before is not None else "/dev/null",
            f"b/{name}",
            lineterm="",
        )
        return "\n".join(lines)

    def write(self) -> None:
        """Write predictions, then the submission; where one cannot be written, nothing of it stays.

        Raises:
            DiskFull: there is no room.
            SubmissionRefused: predictions that changed since they were looked at.
        """
        written: list[Path] = []
        try:
            with space_needed(self.path.parents[2]):
                for target, source in self.predictions.items():
                    data = read_file(source, BOARD_BYTES)
                    if hashlib.sha256(data).hexdigest() != target.stem:
                        raise SubmissionRefused(f"{source} changed since it was read. Run the same command again.")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    written.append(target)
                    write_aside(target, data)
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_aside(self.path, self.content)
        except BaseException:
            for target in written:
                target.unlink(missing_ok=True)
                target.with_name(f".{target.name}.tmp").unlink(missing_ok=True)
            self.path.with_name(f".{self.path.name}.tmp").unlink(missing_ok=True)
            raise


def submit(
    results: Sequence[Path], about: About, board: Board, places: Sequence[Place] = (), date: str | None = None
) -> Proposal:
    """Make a submission of results, and re-score it; nothing is written.

    Args:
        results: folders that ``openmmlo eval`` wrote: the seeds of one method on one benchmark.
        places: where the predictions of each lie on the Hub; empty: on the board, which the miniature's may.
        date: of the submission; today where None.

    Raises:
        DataError: a folder without result or predictions.
        SubmissionRefused: results that are no benchmark's or not of one method, metrics that are not those of their
            predictions, or an entry's name that others have.
    """
    evaluated = sorted((read_evaluated(folder) for folder in results), key=lambda item: int(item.result["seed"]))
    check_one_method(evaluated)
    benchmark = evaluated[0].benchmark
    if places and len(places) != len(evaluated):
        raise ConfigError(f"{len(places)} places of predictions for {len(evaluated)} results; expected one each.")
    if not places and benchmark not in ON_BOARD:
        raise ConfigError(
            f"Predictions on {benchmark} lie in a data set of the Hub, not on the board: upload them with --hub "
            "owner/name, or say where they are with --predictions owner/name@commit:path, one for each folder."
        )
    by_folder = dict(zip(map(str, results), places, strict=True)) if places else {}
    runs = tuple(
        Run(
            int(item.result["seed"]),
            PredictionsFile(item.sha256, item.bytes, item.rows, by_folder.get(str(item.folder), Place("board"))),
            item.result,
        )
        for item in evaluated
    )
    made = Submission(
        entry=slug(about.entry or entry_name(about.name), "The entry's name (--entry)"),
        benchmark=benchmark,
        benchmark_version=int(evaluated[0].result["benchmark"]["version"]),
        name=line(about.name, "The name", 120),
        authors=about.authors,
        paper=None if about.paper is None else address(about.paper, "--paper"),
        code=None if about.code is None else address(about.code, "--code"),
        date=date or today(),
        method=_known_method(about.method),
        note=about.note,
        setting=setting_of(about, [item.result for item in evaluated]),
        runs=runs,
    )
    made = read_submission(made.to_bytes(), "The submission")  # what others will read is what is looked at
    files = {run.seed: item.predictions for run, item in zip(runs, evaluated, strict=True)}
    try:
        compute_mark(made, hashlib.sha256(made.to_bytes()).hexdigest(), lambda run: files[run.seed])
    except DataError as error:
        raise SubmissionRefused(printable(str(error))) from error
    path = board.submission_path(benchmark, made.entry)
    before, made = _against_taken(board, path, made)
    for run in runs:
        board.refuse_links(board.predictions_path(run.predictions.sha256))
    copied = {
        board.predictions_path(item.sha256): item.predictions
        for run, item in zip(runs, evaluated, strict=True)
        if run.predictions.place.kind == "board" and not board.predictions_path(item.sha256).is_file()
    }
    return Proposal(made, path, before, copied)


def read_evaluated(folder: Path) -> Evaluated:
    """Read the result and look at the predictions in a folder that ``openmmlo eval`` wrote.

    Raises:
        DataError: one of the two is missing.
        SubmissionRefused: not a result, of no known benchmark, or with departures from its protocol.
    """
    for file_name in (RESULT, PREDICTIONS):
        if not (folder / file_name).is_file():
            raise DataError(f"{folder} holds no {file_name}. Give folders that openmmlo eval wrote.")
    what = f"The result in {folder}"
    value = read_json(read_file(folder / RESULT), what)
    block = value.get("benchmark") if isinstance(value, dict) else None
    if not isinstance(block, dict):
        raise DataError(f"{folder / RESULT} is no result. Run openmmlo eval again.")
    name, version, seed = block.get("name"), block.get("version"), value.get("seed")
    if name not in benchmark_names():
        known = ", ".join(benchmark_names())
        raise SubmissionRefused(f"{what} is of {told(name)}, which has no table. Benchmarks that have one: {known}.")
    if not isinstance(version, int) or not isinstance(seed, int):
        raise SubmissionRefused(f"{what} is of version {told(version)} and seed {told(seed)}; expected whole numbers.")
    checked_result(value, what, str(name), version, seed)
    path = folder / PREDICTIONS
    found = read_bounded(path, most_rows(load_benchmark(str(name))), f"The predictions in {folder}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Evaluated(folder, value, path, digest, path.stat().st_size, len(found.labels))


def check_one_method(evaluated: Sequence[Evaluated]) -> None:
    """Raises SubmissionRefused where results are not the seeds of one method on one benchmark."""
    if not evaluated:
        raise ConfigError("No result was given. Give one or more folders that openmmlo eval wrote.")
    first = evaluated[0]
    for item in evaluated[1:]:
        for what, one, two in zip(_SHARED, _shared(first.result), _shared(item.result), strict=True):
            if one != two:
                raise SubmissionRefused(
                    f"{first.folder} and {item.folder} are not seeds of one method: {what} is {told(one)} and "
                    f"{told(two)}. Submit them under names of their own."
                )
    seeds = [int(item.result["seed"]) for item in evaluated]
    for place, seed in enumerate(seeds):
        if seed in seeds[:place]:
            twice = [str(item.folder) for item in evaluated if item.result["seed"] == seed]
            raise SubmissionRefused(f"Seed {seed} was given twice: {', '.join(twice)}. Give each seed once.")


_SHARED = (
    "the benchmark", "its version", "the kind of classifier", "the library", "the architecture", "the transform",
    "what was asked for",
)  # fmt: skip


def _shared(result: Mapping[str, Any]) -> tuple[Any, ...]:
    identity = result["model"]["identity"]
    return (
        result["benchmark"]["name"], result["benchmark"]["version"], result["classifier"]["kind"],
        identity.get("library"), identity.get("architecture"), result["protocol"].get("transform"),
        {key: value for key, value in (result.get("asked") or {}).items() if key != "revision"},
    )  # fmt: skip


def setting_of(about: About, results: Sequence[Mapping[str, Any]]) -> Setting:
    """What a method was given, as its authors say, or as its results hold it.

    Raises:
        ConfigError: neither says it; the option is named.
    """
    identity = results[0]["model"]["identity"]
    name = str(results[0]["model"]["name"])
    outside = name.partition(":")[0] in ("hf", "timm", "open_clip")
    facts = {
        "backbone": about.backbone or identity.get("architecture") or (name if outside else None),
        "pretraining": about.pretraining or (f"weights of {name}" if outside else None),
        "captions": about.captions or (None if identity.get("tokenizer") and not outside else "none"),
        "training_set": about.training_set or identity.get("benchmark"),
    }
    wishes = {
        "backbone": 'the network, as in "ResNet-50"',
        "pretraining": 'on what it was trained before, or "none" if it started from random weights',
        "captions": "none, masked or raw: the captions it read in training or at test",
        "training_set": "the benchmark whose training list it learned from, or which other images",
    }
    for key, value in facts.items():
        if value is None:
            raise ConfigError(f"The results do not say it: give --{key.replace('_', '-')}, {wishes[key]}.")
    return Setting(
        backbone=str(facts["backbone"]),
        pretraining=str(facts["pretraining"]),
        captions=facts["captions"],  # type: ignore[arg-type]  # read_submission refuses another
        training_set=str(facts["training_set"]),
        auxiliary_data=about.auxiliary_data,
    )


def entry_name(name: str) -> str:
    """A file name from a name: ``T-hp (κ = 16)`` -> ``t-hp-16``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9.]+", "-", plain)[:80].strip("-.")


def place_of(text: str) -> Place:
    """A place from ``owner/name@commit:path``. Raises ConfigError for anything else; its parts are checked later."""
    found = re.fullmatch(r"([^@:]+)@([^@:]+):([^@:]+)", text)
    if found is None:
        raise ConfigError(f"--predictions is {text!r}; expected owner/name@commit:path of a data set on the Hub.")
    return Place("hub", *found.groups())


def _known_method(key: str | None) -> str | None:
    if key is None:
        return None
    from openmmlo.errors import UnknownName
    from openmmlo.leaderboard.methods import METHODS

    if key not in METHODS:
        raise UnknownName("method", key, METHODS)
    return key


def _against_taken(board: Board, path: Path, made: Submission) -> tuple[bytes | None, Submission]:
    """What stands under this entry's name; its date is kept where nothing else changed.

    Raises:
        SubmissionRefused: it is of others, or its place is a link.
    """
    board.refuse_links(path)
    if not path.exists():
        return None, made
    before = read_file(path)
    taken = board.read(path).submission
    if not set(taken.authors) <= set(made.authors):
        raise SubmissionRefused(
            f"{made.label} is taken: it is {told(taken.name)} of {told(', '.join(taken.authors))}. Choose another name "
            "with --entry; to change an entry of your own, name all of its authors."
        )
    same = replace(made, date=taken.date)
    return before, same if same.to_bytes() == before else made
