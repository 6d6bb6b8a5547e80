"""CLIP's own tokenizer (Radford et al., ICML 2021, arXiv:2103.00020): how many tokens a caption has.

Its byte-pair vocabulary ships in the wheel of open_clip, whose tokenizer is pure Python. A token never holds white
space, so a caption has the tokens of its pieces; each distinct piece is cut once, which is what makes this fast.
"""

from __future__ import annotations

import gzip
import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.building.measures.quality.pieces import Numbers, Pieces
from openmmlo.errors import ModelError

MISSING = 'CLIP\'s vocabulary comes with open_clip, which is not installed: pip install "openmmlo[clip]".'

_FILE = "bpe_simple_vocab_16e6.txt.gz"
_MERGES = 49152 - 256 - 2  # the file holds more than the model learnt
_ENDS = 2  # the start and the end token
_WORD = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_REMEMBERED = 2**17


@dataclass(frozen=True)
class ClipTokens:
    """Counts tokens as open_clip's ``SimpleTokenizer`` cuts them, start and end included.

    Args:
        vocabulary: the file of its merges.
    """

    vocabulary: Path

    def count(self, pieces: Pieces, texts: Any) -> Numbers:
        """(N,) tokens of the captions of an Arrow array, whose pieces these are."""
        import pyarrow.compute as pc

        counts = pieces.sums(self._of_piece)
        # Plain captions are clean already; in others quotes, entities and broken encodings are mended first.
        plain = pc.and_(pc.string_is_ascii(texts), pc.ascii_is_printable(texts))
        plain = pc.and_not(plain, pc.match_substring(texts, "&")).to_numpy(zero_copy_only=False)
        others = np.flatnonzero(~plain.astype(bool))
        for row, text in zip(others.tolist(), texts.take(others).to_pylist(), strict=True):
            counts[row] = sum(map(self._of_piece, _clean(text).split(" ")))
        return counts + _ENDS

    @cached_property
    def _of_piece(self) -> Callable[[str], int]:
        import regex

        cut = regex.compile(_WORD, regex.IGNORECASE)
        merged, as_letters = _merger(self.vocabulary)
        special = ("<start_of_text>", "<end_of_text>")

        @lru_cache(_REMEMBERED)
        def count(piece: str) -> int:
            words = cut.findall(piece.lower())
            return sum(1 if word in special else len(merged(as_letters(word))) for word in words)

        return count

    def __getstate__(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary}  # what is cached cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _merger(file: Path) -> tuple[Callable[[str], list[Any]], Callable[[str], str]]:
    """What merges a word's bytes into tokens, and what writes bytes as the letters of the vocabulary."""
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    lines = gzip.decompress(file.read_bytes()).decode().split("\n")[1 : _MERGES + 1]
    merges = [(left, right) for left, right in map(str.split, lines)]
    alphabet = sorted(ByteLevel.alphabet())
    symbols = [*alphabet, *(letter + "</w>" for letter in alphabet), *(left + right for left, right in merges)]
    model = BPE({symbol: place for place, symbol in enumerate(symbols)}, merges, end_of_word_suffix="</w>")
    letters = ByteLevel(add_prefix_space=False, use_regex=False)
    return model.tokenize, lambda word: str(letters.pre_tokenize_str(word)[0][0])


def _clean(text: str) -> str:
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


def clip_tokens() -> ClipTokens:
    """CLIP's tokenizer, with the vocabulary of an installed open_clip, which is not imported (it loads torch).

    Raises:
        ModelError: open_clip is not installed, or holds no vocabulary.
    """
    spec = find_spec("open_clip")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / _FILE).is_file():
            return ClipTokens(Path(folder) / _FILE)
    raise ModelError(MISSING)
