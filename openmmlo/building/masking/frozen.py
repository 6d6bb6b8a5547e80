"""Frozen lexicons as files: those that ship with openmmlo, a user's own, and the choice of one for a build."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, get_args

from openmmlo.building.masking.lexicon import KINDS, LEVELS, VERSION, Kind, Lexicon, build_lexicon, names_digest, up_to
from openmmlo.building.wordnet import find_wordnet
from openmmlo.errors import DataError
from openmmlo.records import DatasetInfo

_BUNDLED = Path(__file__).parent / "lexicons"


def bundled_path(source: str) -> Path:
    """Where the lexicon of a source lies in the package, whether or not it has one."""
    return _BUNDLED / f"{Path(source).name}.json.gz"


def bundled(info: DatasetInfo) -> Lexicon | None:
    """The lexicon of every level that ships with openmmlo for this very class table; None where none does."""
    path = bundled_path(info.name)
    if not path.is_file():
        return None
    lexicon = read_lexicon(path)
    same = lexicon.version == VERSION and lexicon.names == names_digest(info)
    return lexicon if same else None


def read_lexicon(path: Path) -> Lexicon:
    """Read a lexicon from a ``.json`` file, gzipped or not.

    Raises:
        DataError: it cannot be read, or is no lexicon.
    """
    try:
        data = path.read_bytes()
        return Lexicon.from_json(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"The mask lexicon {path} cannot be read ({error}). Expected a file that openmmlo lexicon build wrote."
        ) from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def write_lexicon(lexicon: Lexicon, path: Path) -> None:
    """Write a lexicon, gzipped where the name ends in ``.gz``; equal lexicons give equal files.

    Raises:
        DataError: the file cannot be written.
    """
    data = lexicon.to_json().encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, 9, mtime=0)
    aside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}). Name another file: --out FILE.") from error


def open_lexicon(info: DatasetInfo, level: str, file: Path | None = None) -> Lexicon:
    """The lexicon that masks this data set at a level: the file's, else the bundled one, else one expanded now.

    One that is expanded now holds the hypernyms too where WordNet is at hand: the audit asks for them at any level.

    Raises:
        UnknownName: no such level.
        DataError: the file lacks a class, the level or this version's rules; or hypernyms are asked for, and WordNet
            is not at hand.
    """
    up_to(level)
    if file is not None:
        lexicon = read_lexicon(file)
        _refuse_other(lexicon, info, level, file)
        return lexicon
    return bundled(info) or expand(info, level)


def expand(info: DatasetInfo, level: str = "strict") -> Lexicon:
    """Expand a class table for a level, and for every level for which all that it needs is at hand.

    Raises:
        DataError: the level needs WordNet, and that is not at hand.
    """
    broadest = list(LEVELS)[-1]
    return build_lexicon(info, (level, broadest if find_wordnet() is not None else "head"))


def make_lexicon(info: DatasetInfo, level: str | None = None) -> Lexicon:
    """Expand a class table now, for one level or for every level that can be had.

    Where hypernyms are wanted and WordNet is not at hand, the bundled lexicon of this class table takes its place.

    Raises:
        UnknownName: no such level.
        DataError: the level needs WordNet, and that is not at hand.
    """
    broadest = list(LEVELS)[-1]
    if level in (None, broadest) and find_wordnet() is None:
        if (lexicon := bundled(info)) is not None:
            return lexicon
        level = level or "head"
    return build_lexicon(info, level or broadest)


def describe(lexicon: Lexicon) -> dict[str, Any]:
    """What a lexicon holds: forms by kind, the classes without any, and the hash of each level."""
    kinds = {
        kind: {
            "forms": sum(form.kind == kind for forms in lexicon.entries.values() for form in forms),
            "without": list(lexicon.classes_without(kind)),
        }
        for kind in get_args(Kind)
        if any(kind in KINDS[level] for level in lexicon.levels)
    }
    return {
        "classes": len(lexicon.entries),
        "levels": list(lexicon.levels),
        "version": lexicon.version,
        "wordnet": lexicon.wordnet or None,
        "kinds": kinds,
        "level_hashes": {level: lexicon.level_hash(level) for level in lexicon.levels},
        "hash": lexicon.hash,
    }


def _refuse_other(lexicon: Lexicon, info: DatasetInfo, level: str, file: Path) -> None:
    if lexicon.version != VERSION:
        raise DataError(
            f"{file} holds names expanded by version {lexicon.version} of the rules; this openmmlo masks by version "
            f"{VERSION}. Make it again with openmmlo lexicon build."
        )
    try:
        lexicon.levels_up_to(level)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    missing = [item.key for item in (*info.classes, *info.ood_classes) if item.key not in lexicon.entries]
    if missing:
        raise DataError(
            f"{file} lacks {len(missing):,} of the classes of {info.name}, for example {missing[0]!r}. "
            f"Make it from this class table: openmmlo lexicon build {info.name}, with the same options."
        )
