"""A submission: one method on one benchmark, with its seeds, who made it, and where its predictions are.

It is what a stranger sent, so :func:`read_submission` takes nothing on trust: what it gives back has known keys, types
and lengths. Whether the numbers are right is another question, and :mod:`openmmlo.leaderboard.rescore` answers it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from openmmlo.errors import SubmissionRefused
from openmmlo.evaluate.benchmark import benchmark_names
from openmmlo.leaderboard.limits import address, day, line, read_json, record, sha256, slug, told, whole

FORMAT = 1
ON_BOARD = ("miniature",)
"""Benchmarks whose predictions are small enough to lie on the board; those of others lie in a data set of the Hub."""

AUTHORS, SEEDS, ROWS = 50, 50, 2_000_000
PREDICTION_BYTES = 256 * 2**20
BOARD_BYTES = 8_000_000
"""Bytes of a predictions file at most: anywhere, and on the board."""

Captions = Literal["none", "masked", "raw"]

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[0-9a-f]{40}")
_PATH = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]{0,99}/){0,8}[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.parquet")

_OF_PAPERS = re.compile(r"table-\d.*")
"""Names of papers' rows (:attr:`openmmlo.leaderboard.reported.ReportedRow.entry`), which stand in the same tables."""

_RESULT = (
    "format", "openmmlo", "benchmark", "model", "seed", "classifier", "protocol", "sets", "digests", "scored",
    "measured", "not_run", "warnings", "departures", "run",
)  # fmt: skip
_RESULT_SOMETIMES = ("asked",)


@dataclass(frozen=True)
class Place:
    """Where a predictions file lies: on the board under its digest, or in a data set of the Hub at a commit.

    Attributes:
        kind: "board" or "hub".
        repo: ``owner/name`` of a data set.
        revision: commit, 40 hexadecimal digits: a branch could change.
        path: of the file in it.
    """

    kind: Literal["board", "hub"]
    repo: str = ""
    revision: str = ""
    path: str = ""

    def to_json(self) -> dict[str, str]:
        if self.kind == "board":
            return {"kind": "board"}
        return {"kind": "hub", "repo": self.repo, "revision": self.revision, "path": self.path}

    def __str__(self) -> str:
        return "the board" if self.kind == "board" else f"{self.repo}@{self.revision}:{self.path}"


@dataclass(frozen=True)
class PredictionsFile:
    """Which predictions, byte for byte, and where they are."""

    sha256: str
    bytes: int
    rows: int
    place: Place

    def to_json(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "bytes": self.bytes, "rows": self.rows, "place": self.place.to_json()}


@dataclass(frozen=True, eq=False)
class Run:
    """One seed: its predictions, and the whole result that ``openmmlo eval`` wrote."""

    seed: int
    predictions: PredictionsFile
    result: Mapping[str, Any]

    @property
    def scored(self) -> Mapping[str, Any]:
        """The block as it was sent; what tables show is the mark's, which was computed anew."""
        return cast(Mapping[str, Any], self.result["scored"])

    def to_json(self) -> dict[str, Any]:
        return {"seed": self.seed, "predictions": self.predictions.to_json(), "result": dict(self.result)}


@dataclass(frozen=True)
class Setting:
    """What a method was given, as its authors state it: by this tables are filtered.

    Attributes:
        backbone: the network.
        pretraining: on what it was trained before; "none" where it starts from random weights.
        captions: whether captions were read, in training or at test, and which.
        training_set: name of the benchmark whose training list it was, or what else.
        auxiliary_data: images or texts beside it, outliers for example.
    """

    backbone: str
    pretraining: str
    captions: Captions
    training_set: str
    auxiliary_data: str | None = None

    @property
    def from_scratch(self) -> bool:
        """Whether nothing was pre-trained."""
        return self.pretraining == "none"

    def to_json(self) -> dict[str, Any]:
        return {
            "backbone": self.backbone,
            "pretraining": self.pretraining,
            "from_scratch": self.from_scratch,
            "captions": self.captions,
            "training_set": self.training_set,
            "auxiliary_data": self.auxiliary_data,
        }


@dataclass(frozen=True, eq=False)
class Submission:
    """One method on one benchmark.

    Attributes:
        entry: its file's name without ending, and its page's.
        name: how tables call it.
        method: key of METHODS, where the leaderboard explains it.
        runs: by seed.
    """

    entry: str
    benchmark: str
    benchmark_version: int
    name: str
    authors: tuple[str, ...]
    paper: str | None
    code: str | None
    date: str
    method: str | None
    note: str | None
    setting: Setting
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def label(self) -> str:
        """``benchmark/entry``, as messages and commands name it."""
        return f"{self.benchmark}/{self.entry}"

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "entry": self.entry,
            "benchmark": self.benchmark,
            "benchmark_version": self.benchmark_version,
            "name": self.name,
            "authors": list(self.authors),
            "paper": self.paper,
            "code": self.code,
            "date": self.date,
            "method": self.method,
            "note": self.note,
            "setting": self.setting.to_json(),
            "runs": [run.to_json() for run in self.runs],
        }

    def to_bytes(self) -> bytes:
        """The file; :func:`read_submission` reads it back. Its SHA-256 is what a mark is given to."""
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def read_submission(data: bytes, what: str = "The submission") -> Submission:
    """Read a submission that may be anybody's.

    Raises:
        SubmissionRefused: too large, too deep, or not exactly what a submission holds; what and why is named.
    """
    value = record(
        read_json(data, what), what,
        ("format", "entry", "benchmark", "benchmark_version", "name", "authors", "paper", "code", "date", "method",
         "note", "setting", "runs"),
    )  # fmt: skip
    if value["format"] != FORMAT or isinstance(value["format"], bool):
        raise SubmissionRefused(f"{what} has format {told(value['format'])}; this openmmlo reads {FORMAT}.")
    return submission_of(value, what)


def submission_of(value: Mapping[str, Any], what: str) -> Submission:
    """The submission in a JSON value that has its keys. Raises SubmissionRefused, as :func:`read_submission`."""
    if value["benchmark"] not in benchmark_names():
        known = ", ".join(benchmark_names())
        raise SubmissionRefused(f"{what}: benchmark is {told(value['benchmark'])}; expected one of {known}.")
    benchmark = str(value["benchmark"])
    version = whole(value["benchmark_version"], f"{what}: benchmark_version", 1, 10_000)
    runs = tuple(
        _run(item, f"{what}, run {place}", benchmark, version)
        for place, item in enumerate(_listed(value["runs"], f"{what}: runs", 1, SEEDS))
    )
    seeds = [run.seed for run in runs]
    if seeds != sorted(set(seeds)):
        raise SubmissionRefused(f"{what}: seeds are {told(seeds)}; expected each once, in order.")
    authors = tuple(line(item, f"{what}: an author", 100) for item in _listed(value["authors"], f"{what}: authors", 1))
    if len(set(authors)) != len(authors):
        raise SubmissionRefused(f"{what}: an author stands twice in {told(list(authors))}.")
    entry = slug(value["entry"], f"{what}: entry")
    if _OF_PAPERS.fullmatch(entry):
        raise SubmissionRefused(f"{what}: entry is {told(entry)}, as rows of papers are called. Choose another name.")
    return Submission(
        entry=entry,
        benchmark=benchmark,
        benchmark_version=version,
        name=line(value["name"], f"{what}: name", 120),
        authors=authors,
        paper=None if value["paper"] is None else address(value["paper"], f"{what}: paper"),
        code=None if value["code"] is None else address(value["code"], f"{what}: code"),
        date=day(value["date"], f"{what}: date"),
        method=None if value["method"] is None else slug(value["method"], f"{what}: method"),
        note=None if value["note"] is None else line(value["note"], f"{what}: note", 1_000),
        setting=read_setting(value["setting"], f"{what}: setting"),
        runs=runs,
    )


def read_place(value: Any, where: str, benchmark: str) -> Place:
    """Where predictions may lie: nowhere but on the board or in a data set of the Hub. Raises SubmissionRefused."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "board":
        record(value, where, ("kind",))
        if benchmark not in ON_BOARD:
            raise SubmissionRefused(
                f"{where}: predictions on {benchmark} lie in a data set of the Hub; on the board only those of "
                f"{', '.join(ON_BOARD)}. Upload them and give owner/name@commit:path."
            )
        return Place("board")
    if kind != "hub":
        raise SubmissionRefused(f"{where} is {told(value)}; expected kind 'board' or 'hub'. Nothing else is fetched.")
    record(value, where, ("kind", "repo", "revision", "path"))
    for key, pattern, wish in (
        ("repo", _REPO, "owner/name of a data set on the Hub"),
        ("revision", _REVISION, "a commit of 40 hexadecimal digits: branches and tags change"),
        ("path", _PATH, "a relative path that ends in .parquet"),
    ):
        if not isinstance(value[key], str) or not pattern.fullmatch(value[key]) or ".." in value[key]:
            raise SubmissionRefused(f"{where}: {key} is {told(value[key])}; expected {wish}.")
    return Place("hub", value["repo"], value["revision"], value["path"])


def _run(value: Any, where: str, benchmark: str, version: int) -> Run:
    record(value, where, ("seed", "predictions", "result"))
    seed = whole(value["seed"], f"{where}: seed", 0, 2**31 - 1)
    file = record(value["predictions"], f"{where}: predictions", ("sha256", "bytes", "rows", "place"))
    place = read_place(file["place"], f"{where}: place", benchmark)
    most = BOARD_BYTES if place.kind == "board" else PREDICTION_BYTES
    found = PredictionsFile(
        sha256(file["sha256"], f"{where}: predictions"),
        whole(file["bytes"], f"{where}: bytes of its predictions", 1, most),
        whole(file["rows"], f"{where}: rows of its predictions", 1, ROWS),
        place,
    )
    return Run(seed, found, checked_result(value["result"], f"{where}: result", benchmark, version, seed))


def checked_result(value: Any, where: str, benchmark: str, version: int, seed: int) -> Mapping[str, Any]:
    """A result whose frame is as ``openmmlo eval`` writes it and is of this benchmark, version and seed.

    What it measured beside the scored block cannot be recomputed from predictions: pages that show it say so.

    Raises:
        SubmissionRefused: another frame, benchmark, version or seed, or a departure from the protocol.
    """
    result = record(value, where, _RESULT, _RESULT_SOMETIMES)
    if result["format"] != 1 or isinstance(result["format"], bool):
        raise SubmissionRefused(f"{where} has format {told(result['format'])}; this openmmlo reads 1.")
    line(result["openmmlo"], f"{where}: openmmlo", 40)
    for key in ("benchmark", "model", "classifier", "protocol", "digests", "scored", "measured", "run"):
        if not isinstance(result[key], dict):
            raise SubmissionRefused(f"{where}: {key} is {told(result[key])}; expected an object.")
    for key in ("sets", "not_run", "warnings", "departures"):
        if not isinstance(result[key], list):
            raise SubmissionRefused(f"{where}: {key} is {told(result[key])}; expected a list.")
    if result["departures"] or result["scored"].get("departures"):
        raise SubmissionRefused(f"{where} departs from the benchmark's protocol, so its numbers are not comparable.")
    for what, found, expected in (
        ("benchmark", result["benchmark"].get("name"), benchmark),
        ("benchmark's version", result["benchmark"].get("version"), version),
        ("seed", result["seed"], seed),
    ):
        if type(found) is not type(expected) or found != expected:
            raise SubmissionRefused(f"{where} is of {what} {told(found)}; the submission says {told(expected)}.")
    line(result["model"].get("name"), f"{where}: model's name", 300)
    if not isinstance(result["model"].get("identity"), dict):
        raise SubmissionRefused(f"{where}: the model's identity is missing; expected an object.")
    line(result["classifier"].get("kind"), f"{where}: kind of classifier", 80)
    for key in ("definition", "label_map", "checkpoint", "predictions"):
        sha256(result["digests"].get(key), f"{where}: digest of the {key}")
    return result


def read_setting(value: Any, where: str) -> Setting:
    """What a method was given, of a submission or a reported row. Raises SubmissionRefused for anything else."""
    keys = ("backbone", "pretraining", "from_scratch", "captions", "training_set", "auxiliary_data")
    record(value, where, keys)
    if value["captions"] not in ("none", "masked", "raw"):
        raise SubmissionRefused(f"{where}: captions is {told(value['captions'])}; expected none, masked or raw.")
    found = Setting(
        backbone=line(value["backbone"], f"{where}: backbone", 120),
        pretraining=line(value["pretraining"], f"{where}: pretraining", 200),
        captions=value["captions"],
        training_set=line(value["training_set"], f"{where}: training_set", 200),
        auxiliary_data=(
            None if value["auxiliary_data"] is None else line(value["auxiliary_data"], f"{where}: auxiliary_data", 300)
        ),
    )
    if value["from_scratch"] is not found.from_scratch:
        raise SubmissionRefused(
            f"{where}: from_scratch is {told(value['from_scratch'])} and pretraining {told(found.pretraining)}; it is "
            "true where pretraining is 'none', else false."
        )
    return found


def _listed(value: Any, where: str, least: int, most: int = AUTHORS) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise SubmissionRefused(f"{where} is {told(value)}; expected a list of {least} to {most}.")
    return value
