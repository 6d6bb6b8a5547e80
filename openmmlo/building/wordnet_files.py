"""The files of WordNet 3.0: which there are, whether a folder holds them whole, and laying them out for NLTK."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openmmlo.errors import DataError

SIZES = {
    "adj.exc": 1490,
    "adv.exc": 7,
    "cntlist.rev": 37387,
    "data.adj": 18185,
    "data.adv": 3650,
    "data.noun": 82144,
    "data.verb": 13796,
    "index.adj": 21508,
    "index.adv": 4510,
    "index.noun": 117827,
    "index.sense": 206941,
    "index.verb": 11558,
    "noun.exc": 2054,
    "verb.exc": 2401,
}
"""The files that NLTK reads, with their lines in version 3.0. ``lexnames`` is made."""

_LEXNAMES = """
adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition
noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person
noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state
noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition verb.consumption
verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative
verb.weather adj.ppl
"""

LEXNAMES = tuple(_LEXNAMES.split())
"""The 45 lexicographer files, by the number that data files give them."""

_PARTS = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
_VERSION = re.compile(rb"WordNet (\S+) Copyright")


def faults(root: Path, quick: bool = False) -> str:
    """What keeps a folder from being WordNet 3.0, without ``lexnames``; empty where nothing does.

    ``quick`` leaves out the counting of lines, but not whether the synsets stand where their offsets say: a file with
    other line ends, or another version's, does not pass.
    """
    names = [*SIZES, "lexnames"] if quick else list(SIZES)
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        return f"it lacks {', '.join(missing)}"
    for part in _PARTS:
        with (root / f"data.{part}").open("rb") as file:
            found = _VERSION.search(file.read(4096))
            if found is None or found.group(1) != b"3.0":
                shown = found.group(1).decode("ascii", "replace") if found else "unknown"
                return f"data.{part} is of version {shown}; expected 3.0"
            if not _last_offset_is_true(root / f"data.{part}"):
                return f"data.{part} is cut, or its line ends were changed"
    if not quick:
        for name, lines in SIZES.items():
            with (root / name).open("rb") as file:
                count = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**20), b""))
            if count != lines:
                return f"{name} has {count:,} lines; version 3.0 has {lines:,}"
    return ""


def _last_offset_is_true(path: Path) -> bool:
    """Whether the last line of a data file stands at the byte that it says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2**16))
        tail = file.read()
    start = tail.rstrip(b"\n").rfind(b"\n") + 1
    return tail.endswith(b"\n") and tail[start : start + 8] == b"%08d" % (size - len(tail) + start)


def lexnames() -> str:
    """The text of ``lexnames``: number, name and part of speech of each lexicographer file."""
    parts = [_PARTS[name.partition(".")[0]] for name in LEXNAMES]
    return "".join(
        f"{number:02d}\t{name}\t{part}\n" for number, (name, part) in enumerate(zip(LEXNAMES, parts, strict=True))
    )


def lay_out(origin: Path | None, nltk_data: Path) -> tuple[Path, bool]:
    """Lay WordNet 3.0 out as NLTK wants it: ``nltk_data/corpora/wordnet``.

    Args:
        origin: WordNet's dict folder, an NLTK ``corpora/wordnet`` folder, a folder above one of them, or
            ``wordnet.zip``; NLTK's downloader is asked where None.

    Returns:
        The folder, and whether it had to be made: one that holds WordNet 3.0 whole is left as it is.

    Raises:
        DataError: what is there is not WordNet 3.0, or the folder cannot be written.
    """
    target = nltk_data / "corpora" / "wordnet"
    if not faults(target, quick=True) and not faults(target):
        return target, False
    try:
        with _folder(origin) if origin is not None else _download() as folder:
            if problem := faults(folder):
                raise DataError(f"{origin or folder} is not WordNet 3.0 as a whole: {problem}. {_EXPECTED}")
            _copy(folder, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror}). Name a folder that you may write: --to DIR.") \
            from error  # fmt: skip
    return target, True


_EXPECTED = (
    "Expected WordNet 3.0's dict folder (Debian: wordnet-base and wordnet-sense-index, /usr/share/wordnet), or NLTK's "
    "corpora/wordnet as a folder or a zip."
)


def _copy(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".wordnet-", dir=target.parent))
    try:
        for name in SIZES:
            shutil.copyfile(folder / name, aside / name)
        (aside / "lexnames").write_text(lexnames(), encoding="ascii")
        aside.chmod(0o755)
        if target.exists():  # of another version, or cut: what is there is kept until the new one is whole
            old = Path(tempfile.mkdtemp(prefix=".wordnet-", dir=target.parent))
            target.rename(old / "old")
            aside.rename(target)
            shutil.rmtree(old)
        else:
            aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _folder(origin: Path) -> Iterator[Path]:
    """The folder with the files: the one named, one below it, or what a zip unpacks to."""
    if origin.is_file():
        with tempfile.TemporaryDirectory() as temporary:
            _unpack(origin, Path(temporary))
            yield Path(temporary)
        return
    if not origin.is_dir():
        raise DataError(f"There is no folder or zip {origin}. {_EXPECTED}")
    below = ("", "dict", "wordnet", "corpora/wordnet", "nltk_data/corpora/wordnet")
    zipped = ("corpora/wordnet.zip", "wordnet.zip", "nltk_data/corpora/wordnet.zip")
    for name in below:
        if (origin / name / "data.noun").is_file():
            yield origin / name
            return
    for name in zipped:
        if (origin / name).is_file():
            with _folder(origin / name) as folder:
                yield folder
            return
    raise DataError(f"{origin} holds no data.noun, nor a WordNet folder or zip. {_EXPECTED}")


@contextmanager
def _download() -> Iterator[Path]:
    """The files as NLTK's downloader fetches them, in a folder of their own until they have been checked."""
    import nltk.data
    from nltk.downloader import Downloader

    with tempfile.TemporaryDirectory() as temporary:
        nltk.data.path.append(temporary)  # NLTK writes nowhere else
        try:
            Downloader().download("wordnet", temporary, quiet=True, raise_on_error=True, print_error_to=io.StringIO())
        except (OSError, ValueError) as error:
            raise DataError(
                f"NLTK could not download WordNet ({error}). Without internet, name a folder that has it: openmmlo "
                f"wordnet setup --from DIR. {_EXPECTED}"
            ) from error
        finally:
            nltk.data.path.remove(temporary)
        with _folder(Path(temporary)) as folder:
            yield folder


def _unpack(archive: Path, to: Path) -> None:
    """The files we know from a zip, wherever in it they lie; nothing else is written."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                name = member.filename.rpartition("/")[2]
                if name in SIZES and not (to / name).exists():
                    with opened.open(member) as source, (to / name).open("wb") as copy:
                        shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive} is no zip that can be read ({error}). {_EXPECTED}") from error
