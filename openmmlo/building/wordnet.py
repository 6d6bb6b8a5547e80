"""WordNet 3.0 as openmmlo asks it: which words are nouns, what a name means, what is broader than that.

Fellbaum (ed.), WordNet: An Electronic Lexical Database, MIT Press 1998. Read through NLTK from a folder that
``openmmlo wordnet setup`` or NLTK's downloader made. ImageNet's class ids and every mask lexicon are of version 3.0;
another version is not used.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.building.function_words import FUNCTION_WORDS
from openmmlo.errors import DataError
from openmmlo.sources import data_root

VERSION = "3.0"

SETUP = (
    "Bring it with 'openmmlo wordnet setup --from DIR', DIR being a folder with WordNet 3.0's dict files (Debian's "
    "wordnet-base and wordnet-sense-index put them in /usr/share/wordnet); with internet 'openmmlo wordnet setup' "
    "fetches it."
)

Synset = Any
"""A synset of NLTK's reader."""

_PARTS_OF_SPEECH = {"n": "1", "v": "2", "a": "3", "r": "4"}  # NLTK's letter -> the digit in a sense key
_SATELLITE = "5"


class WordNet:
    """WordNet 3.0, read from the folder that holds its files; a few seconds, then everything is in memory.

    Args:
        root: folder with the dict files and ``lexnames``.
    """

    version = VERSION

    def __init__(self, root: Path) -> None:
        self.root = root
        self._reader = _open_reader(root)
        self._first_counts: dict[tuple[str, str], int] | None = None
        self._sense_counts: dict[str, int] = {}
        self._nouns: dict[str, bool] = {}

    def __reduce__(self) -> tuple[type[WordNet], tuple[Path]]:
        return WordNet, (self.root,)

    def is_noun(self, word: str) -> bool:
        """Whether the most frequent sense of a word, over all parts of speech, is a noun.

        Inflected forms count as their base forms ("leaves" as leaf and as the verb leave). Frequencies are the tag
        counts that WordNet gives its senses; where they are equal, none for example, noun goes before verb, adjective
        and adverb, the order in which WordNet itself lists them. False for a word that WordNet does not know, and for
        function words, which it knows only as something else ("at" as astatine, "a" as a unit of length).
        """
        found = self._nouns.get(word)
        if found is None:
            found = self._nouns[word] = self._is_noun(word.lower())
        return found

    def _is_noun(self, word: str) -> bool:
        if word in FUNCTION_WORDS:
            return False
        counts = self._counts()
        best = -1
        best_part = ""
        for part in _PARTS_OF_SPEECH:
            base = self._reader.morphy(word, part)
            count = -1 if base is None else counts.get((base, part), 0)
            if count > best:
                best, best_part = count, part
        return best_part == "n"

    def _counts(self) -> dict[tuple[str, str], int]:
        """(lemma, part of speech) -> how often its most frequent sense was tagged; those of no tag are left out."""
        if self._first_counts is None:
            parts = {digit: part for part, digit in _PARTS_OF_SPEECH.items()} | {_SATELLITE: "a"}
            counts: dict[tuple[str, str], int] = {}
            for line in (self.root / "cntlist.rev").read_text("ascii").splitlines():
                sense, _, count = line.split()
                lemma, _, rest = sense.partition("%")
                key = (lemma, parts[rest[0]])
                counts[key] = max(counts.get(key, 0), int(count))
                self._sense_counts[sense] = int(count)
            self._first_counts = counts
        return self._first_counts

    def synset(self, wnid: str) -> Synset:
        """The synset of an ImageNet id ("n02510455": a noun's offset).

        Raises:
            KeyError: no such synset.
        """
        if len(wnid) != 9 or wnid[0] != "n" or not wnid[1:].isascii() or not wnid[1:].isdecimal():
            raise KeyError(wnid)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an offset between two synsets is warned of, then fails or gives None
            try:
                found = self._reader.synset_from_pos_and_offset("n", int(wnid[1:]))
            except Exception as error:  # NLTK parses whatever line it lands on
                raise KeyError(wnid) from error
        if found is None or found.offset() != int(wnid[1:]):
            raise KeyError(wnid)
        return found

    def share(self, word: str, synset: Synset) -> float:
        """How often a word was tagged in this sense, over how often in its most frequent one of any part of speech.

        Counts are those of WordNet, each plus one: 1 for the most frequent sense, and for a word never tagged.
        """
        counts = self._counts()
        lemma = word.lower().replace(" ", "_")
        most = max((counts.get((lemma, part), 0) for part in _PARTS_OF_SPEECH), default=0)
        found = [one for one in synset.lemmas() if one.name().lower() == lemma]
        count = max((self._sense_counts.get(one.key().lower(), 0) for one in found), default=0)
        return (count + 1) / (most + 1)

    def senses(self, name: str) -> list[Synset]:
        """Noun senses of a name, the most frequent first; inflected names count as their base form."""
        words = "_".join(name.lower().split())
        return list(self._reader.synsets(words, "n")) if words else []

    def hypernyms(self, synset: Synset) -> list[Synset]:
        """Every synset broader than this one, the nearest first; those of an instance (a city) included."""
        found: dict[Synset, None] = {}
        ahead = [synset]
        while ahead:
            broader = [over for one in ahead for over in (*one.hypernyms(), *one.instance_hypernyms())]
            ahead = [over for over in dict.fromkeys(broader) if over not in found]
            found |= dict.fromkeys(ahead)
        return list(found)


def find_wordnet() -> WordNet | None:
    """WordNet 3.0 from the first folder that holds it whole; None where there is none.

    Folders: ``nltk_data`` under OPENMMLO_DATA, then NLTK's own (NLTK_DATA and its defaults), in each of them
    ``corpora/wordnet``. A folder of another version, or one that lacks a file, is passed over.
    """
    for root in _folders():
        if root not in _OPENED and not _faults(root):
            _OPENED[root] = WordNet(root)
        if root in _OPENED and root.is_dir():
            return _OPENED[root]
    return None


_OPENED: dict[Path, WordNet] = {}
"""Folders that were looked over and read by this process."""


def need_wordnet(what: str) -> WordNet:
    """WordNet 3.0, for something that cannot do without.

    Args:
        what: who needs it, the beginning of a sentence: "Mask level 'hypernym'".

    Raises:
        DataError: it is nowhere; the message holds the command that brings it.
    """
    found = find_wordnet()
    if found is None:
        seen = [f"{root}: {problem}" for root in _folders() if root.exists() and (problem := _faults(root))]
        looked = f" ({'; '.join(seen)})" if seen else ""
        raise DataError(f"{what} needs WordNet {VERSION}, which is not at hand{looked}. {SETUP}")
    return found


@dataclass(frozen=True)
class SetUp:
    """Where WordNet is after a set-up.

    Attributes:
        folder: ``corpora/wordnet`` with its files.
        made: False where it was there already, whole.
        found: whether openmmlo looks there.
    """

    folder: Path
    made: bool
    found: bool
    version: str = VERSION


def set_up(origin: Path | None = None, to: Path | None = None) -> SetUp:
    """Lay WordNet 3.0 out where it is looked for; atomic, and done again it changes nothing.

    Args:
        origin: WordNet's dict folder, NLTK's ``corpora/wordnet`` as a folder or a zip, or a folder above one of them;
            NLTK's downloader fetches it where None.
        to: the NLTK data folder; ``nltk_data`` under OPENMMLO_DATA where None, else the one that NLTK downloads to.

    Raises:
        DataError: what is there is not WordNet 3.0 as a whole, it cannot be fetched, or the folder cannot be written.
    """
    from openmmlo.building import wordnet_files

    nltk_data = (to or _home()).expanduser()
    folder, made = wordnet_files.lay_out(origin.expanduser() if origin else None, nltk_data)
    return SetUp(folder, made, any(root.is_dir() and root.samefile(folder) for root in _folders()))


def _home() -> Path:
    if (data := data_root()) is not None:
        return data / "nltk_data"
    from nltk.downloader import Downloader

    return Path(Downloader().default_download_dir())


def _folders() -> list[Path]:
    roots = []
    if (data := data_root()) is not None:
        roots.append(data / "nltk_data")
    roots += [Path(path) for path in _nltk_path() if not path.endswith(".zip")]
    return [root / "corpora" / "wordnet" for root in dict.fromkeys(roots)]


def _nltk_path() -> list[str]:
    """NLTK's own search path: what it holds now, as users may have extended it, or would hold on import.

    NLTK takes more than a second to import, and most builds begin by learning that there is no WordNet.
    """
    asked = [path for path in os.environ.get("NLTK_DATA", "").split(os.pathsep) if path]
    if "nltk.data" in sys.modules or sys.platform == "win32":
        import nltk.data

        return [*asked, *(path for path in map(str, nltk.data.path) if path not in _REGISTERED)]
    below = ("nltk_data", "share/nltk_data", "lib/nltk_data")
    system = ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")
    own = [str(Path(sys.prefix, name)) for name in below] + [f"{folder}/nltk_data" for folder in system]
    return [*asked, str(Path.home() / "nltk_data"), *own]


_REGISTERED: set[str] = set()
"""Folders that were put on NLTK's path here, and so say nothing of where a user has WordNet."""


def _open_reader(root: Path) -> Any:
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    nltk_data = str(root.parents[1].absolute())
    if nltk_data not in nltk.data.path:  # NLTK reads nothing from elsewhere
        nltk.data.path.append(nltk_data)
        _REGISTERED.add(nltk_data)

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """English alone: the table that maps other languages' files reads index.sense twice, from NLTK's own path."""

        def map_wn(self, version: str = "wordnet") -> None:
            return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no other languages
        return Reader(str(root.absolute()), None)


def _faults(root: Path) -> str:
    """What keeps a folder from being WordNet 3.0 as NLTK wants it, without reading any file to its end."""
    from openmmlo.building import wordnet_files

    return wordnet_files.faults(root, quick=True)
