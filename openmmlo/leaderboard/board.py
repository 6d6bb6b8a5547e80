"""A board: the folder that holds submissions, predictions, marks and what papers reported.

Everything in it is read as a stranger's. A file that is not what it should be is refused by name; links are not
followed, and no path leaves the folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ConfigError, SubmissionRefused, UnknownName
from openmmlo.leaderboard.limits import printable, read_file, read_json, slug, told
from openmmlo.leaderboard.marks import Mark, read_mark
from openmmlo.leaderboard.submission import BOARD_BYTES, PredictionsFile, Submission, read_submission

if TYPE_CHECKING:
    from openmmlo.leaderboard.hub import Origin

FOLDER = "leaderboard"
SUBMISSIONS, PREDICTIONS, MARKS, REPORTED = "submissions", "predictions", "marks", "reported"

_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, eq=False)
class Entry:
    """One submission of a board, the SHA-256 of its file, and its mark where it has one."""

    submission: Submission
    digest: str
    mark: Mark | None
    path: Path


class Board:
    """A folder in the layout of a leaderboard.

    Args:
        root: the folder; what is missing in it counts as empty.
        origin: where on the Hub the folder is from: its predictions are fetched there. Such a folder is a copy in the
            cache, in which nothing is written.

    Raises:
        ConfigError: no folder.
    """

    def __init__(self, root: Path, origin: Origin | None = None) -> None:
        self.root = root.expanduser()
        self.origin = origin
        if not self.root.is_dir():
            raise ConfigError(f"{root} is no folder. Give a leaderboard's folder, or the Hub's owner/name of one.")

    @property
    def writable(self) -> bool:
        """Whether anything may be written into it."""
        return self.origin is None

    @cached_property
    def marks(self) -> dict[str, Mark]:
        """Submission's SHA-256 -> mark, of every mark there is, also of submissions that are gone.

        Raises:
            SubmissionRefused: a file that is no mark, or is called otherwise than the submission it is given to.
        """
        found = {}
        for path in self._files(MARKS, ".json"):
            mark = read_mark(read_file(path), f"Mark {path.name[:12]}")
            if path.stem != mark.submission:
                raise SubmissionRefused(
                    f"Mark {printable(path.name)} is given to submission {mark.submission}; expected its own name."
                )
            found[mark.submission] = mark
        return found

    def paths(self) -> list[Path]:
        """The file of every submission, by benchmark and entry.

        Raises:
            SubmissionRefused: a link, or a file of another name or place.
        """
        return list(self._files(SUBMISSIONS, ".json", depth=2))

    def read(self, path: Path) -> Entry:
        """Read one submission file of this board.

        Raises:
            SubmissionRefused: not a submission, or not the one that its place promises.
        """
        data = read_file(path)
        label = f"{path.parent.name}/{path.stem}"
        submission = read_submission(data, f"Submission {printable(label)}")
        if submission.label != label:
            raise SubmissionRefused(
                f"Submission {printable(label)} says that it is {submission.label}. Both must agree."
            )
        digest = hashlib.sha256(data).hexdigest()
        return Entry(submission, digest, self.mark_of(submission, digest), path)

    def mark_of(self, submission: Submission, digest: str) -> Mark | None:
        """The mark given to these bytes.

        Raises:
            SubmissionRefused: a mark under their digest that is of another entry, seeds or predictions.
        """
        mark = self.marks.get(digest)
        if mark is None:
            return None
        own = [(run.seed, run.predictions.sha256) for run in submission.runs]
        if (mark.benchmark, mark.entry) != (submission.benchmark, submission.entry) or own != [
            (run.seed, run.predictions) for run in mark.runs
        ]:
            raise SubmissionRefused(
                f"The mark of {submission.label} is of {mark.benchmark}/{mark.entry} or of other seeds or predictions. "
                "Marks are written by openmmlo leaderboard rescore alone: remove it and run that."
            )
        return mark

    def entries(self, benchmark: str | None = None) -> list[Entry]:
        """Every submission, by benchmark and entry, or those on one benchmark.

        Raises:
            SubmissionRefused: one of them cannot be read; which, and why.
        """
        paths = self.paths()
        return [self.read(path) for path in paths if benchmark in (None, path.parent.name)]

    def find(self, names: tuple[str, ...] | list[str]) -> list[Path]:
        """The files of submissions by ``entry`` or ``benchmark/entry``; all of them where none is named.

        Raises:
            UnknownName: no such entry.
            ConfigError: an entry that several benchmarks have.
        """
        paths = self.paths()
        if not names:
            return paths
        found: list[Path] = []
        for name in names:
            fitting = [path for path in paths if name in (path.stem, f"{path.parent.name}/{path.stem}")]
            if not fitting:
                raise UnknownName("entry", name, [f"{path.parent.name}/{path.stem}" for path in paths])
            if len(fitting) > 1:
                several = ", ".join(f"{path.parent.name}/{path.stem}" for path in fitting)
                raise ConfigError(f"Several benchmarks have an entry {name!r}. Name one: {several}.")
            found.extend(path for path in fitting if path not in found)
        return found

    def reported(self) -> dict[str, Any]:
        """Name of a table -> JSON value of its file, read within the same limits as a submission.

        Raises:
            SubmissionRefused: a file that is no JSON, or too large or deep.
        """
        return {
            path.stem: read_json(read_file(path), f"Reported table {printable(path.name)}")
            for path in self._files(REPORTED, ".json")
        }

    def submission_path(self, benchmark: str, entry: str) -> Path:
        """Where the submission of an entry lies."""
        return self.root / SUBMISSIONS / slug(benchmark, "benchmark") / f"{slug(entry, 'entry')}.json"

    def mark_path(self, digest: str) -> Path:
        """Where the mark of a submission lies."""
        return self.root / MARKS / f"{digest}.json"

    def predictions_path(self, sha256: str) -> Path:
        """Where predictions lie that are on the board."""
        return self.root / PREDICTIONS / f"{sha256}.parquet"

    def predictions(self, file: PredictionsFile) -> Path:
        """The predictions file, its size and digest checked; from the Hub it is fetched at its commit.

        Raises:
            SubmissionRefused: not there, or not these bytes.
            HubError: the Hub cannot be reached.
        """
        if file.place.kind == "board":
            path = self.predictions_path(file.sha256)
            self.refuse_links(path)
            if not path.is_file() and self.origin is not None:
                from openmmlo.leaderboard.hub import fetch_from_board

                path = fetch_from_board(self.origin, file.sha256, file.bytes)
            if not path.is_file():
                raise SubmissionRefused(f"Predictions {file.sha256} are not on the board: predictions/ lacks them.")
            if path.stat().st_size > BOARD_BYTES:
                raise SubmissionRefused(f"Predictions {file.sha256} have {path.stat().st_size:,} bytes.")
        else:
            from openmmlo.leaderboard.hub import fetch_predictions

            place = file.place
            path = fetch_predictions(place.repo, place.revision, place.path, file.sha256, file.bytes)
        check_digest(path, file)
        return path

    def stored_predictions(self) -> list[Path]:
        """Every predictions file on the board."""
        return list(self._files(PREDICTIONS, ".parquet"))

    def _files(self, folder: str, ending: str, depth: int = 1) -> Iterator[Path]:
        """Files of a folder of the board, in order; what is no such file is refused, whatever it is."""
        root = self.root / folder
        self.refuse_links(root)
        if not root.is_dir():
            return
        for path in sorted(root.iterdir()):
            if path.name.startswith(".") and not path.is_dir() and not path.is_symlink():
                continue  # what an editor or a killed write left, .gitkeep
            self.refuse_links(path)
            if depth > 1 and path.is_dir():
                slug(path.name, f"A folder of {folder}/")
                yield from self._files(f"{folder}/{path.name}", ending, depth - 1)
            elif depth > 1 or not path.is_file() or path.suffix != ending:
                wish = f"BENCHMARK/ENTRY{ending}" if depth > 1 or folder.startswith(SUBMISSIONS) else f"NAME{ending}"
                raise SubmissionRefused(f"{folder}/ holds {told(path.name)}; expected nothing but {wish}.")
            else:
                if ending == ".json":
                    slug(path.stem, f"A file of {folder}/")
                elif not re.fullmatch(r"[0-9a-f]{64}", path.stem):
                    raise SubmissionRefused(f"{folder}/ holds {told(path.name)}; expected SHA256{ending}.")
                yield path

    def refuse_links(self, path: Path) -> None:
        """A link could lead anywhere. Raises SubmissionRefused for one between the board's folder and ``path``."""
        for part in (path, *path.parents):
            if part == self.root:
                return
            if part.is_symlink():
                raise SubmissionRefused(f"{printable(part.name)} on the board is a link; expected a file or folder.")


def check_digest(path: Path, file: PredictionsFile) -> None:
    """Raises SubmissionRefused where a file has not the size and the SHA-256 that a submission gives."""
    size = path.stat().st_size
    if size != file.bytes:
        raise SubmissionRefused(f"Predictions {file.sha256} have {size:,} bytes; the submission says {file.bytes:,}.")
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        raise SubmissionRefused(f"Predictions have SHA-256 {found}; the submission says {file.sha256}: not these.")


def open_board(name: str | Path | None = None) -> Board:
    """A board by its folder or its Hub id.

    Args:
        name: a folder, ``owner/name`` of a data set on the Hub, or None: the folder ``leaderboard`` here or of the
            checkout that this code runs from, else the published board.

    Raises:
        ConfigError: neither a folder nor the name of a data set.
        HubError: the Hub cannot be reached.
    """
    if name is None:
        here = (Path(FOLDER), _CHECKOUT / FOLDER)
        parts = (SUBMISSIONS, REPORTED)
        found = next((folder for folder in here if any((folder / part).is_dir() for part in parts)), None)
        if found is not None:
            return Board(found)
        return _published()
    if Path(name).expanduser().is_dir():
        return Board(Path(name))
    text = str(name)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", text, re.ASCII):
        raise ConfigError(f"{text!r} is no folder. Give a leaderboard's folder, or owner/name of one on the Hub.")
    return _published(text)


def _published(*repo: str) -> Board:
    from openmmlo.leaderboard.hub import open_published

    origin = open_published(*repo)
    return Board(origin.folder, origin)
