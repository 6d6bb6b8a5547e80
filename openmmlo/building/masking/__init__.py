"""A data set's class names come in and become a frozen lexicon; captions come in and go out with those names masked.

Names are expanded once, offline, when the lexicon is built; a caption is never lemmatised. What a level hides is data:
a line in :data:`LEVELS`.
"""

from openmmlo.building.masking.frozen import (
    bundled,
    describe,
    expand,
    make_lexicon,
    open_lexicon,
    read_lexicon,
    write_lexicon,
)
from openmmlo.building.masking.lexicon import KINDS, LEVELS, Form, Kind, Lexicon, MaskLevel, build_lexicon, names_digest
from openmmlo.building.masking.lexicon import VERSION as LEXICON_VERSION
from openmmlo.building.masking.masker import Masker

__all__ = [
    "KINDS",
    "LEVELS",
    "LEXICON_VERSION",
    "Form",
    "Kind",
    "Lexicon",
    "MaskLevel",
    "Masker",
    "build_lexicon",
    "bundled",
    "describe",
    "expand",
    "make_lexicon",
    "names_digest",
    "open_lexicon",
    "read_lexicon",
    "write_lexicon",
]
