"""A data set's class names come in and become a frozen lexicon; captions come in and go out with those names masked.

Names are expanded once, offline, when the lexicon is built; a caption is never lemmatised. What a level hides is data:
a line in :data:`LEVELS`.
"""

from openmmlo.building.masking.lexicon import LEVELS, Form, Lexicon, MaskLevel, build_lexicon
from openmmlo.building.masking.lexicon import VERSION as LEXICON_VERSION
from openmmlo.building.masking.masker import MASK, Masker

__all__ = ["LEVELS", "LEXICON_VERSION", "MASK", "Form", "Lexicon", "MaskLevel", "Masker", "build_lexicon"]
