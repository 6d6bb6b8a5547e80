"""Texts become tokens: BERT's WordPiece, trained on a data set's captions or taken from the Hub.

[ENC] stands in front of a text that is read with its image, [DEC] in front of one that is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]")
"""The first entries of a trained vocabulary, in this order."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A lower-case WordPiece tokenizer (``PreTrainedTokenizerFast``) of the words in ``texts``; the same for the same.

    Args:
        vocabulary: entries at most, marks included.

    Raises:
        ConfigError: a vocabulary that the marks and letters alone fill.
        DataError: no text.
    """
    raise NotImplementedError


def open_tokenizer(name: str) -> Any:
    """The tokenizer in a folder, else of the Hub, with [DEC] and [ENC] added where it lacks them.

    Of ``bert-base-uncased`` they get 30522 and 30523, as in the released checkpoints.

    Raises:
        ModelError: it is neither a folder with a tokenizer nor cached nor on a Hub that can be reached, or it has no
            [CLS], [SEP], [MASK] and [PAD].
    """
    raise NotImplementedError


def token_ids(tokenizer: Any) -> dict[str, int]:
    """What a :class:`ThpConfig` says of a tokenizer: ``vocab_size``, ``pad_token_id`` ... ``dec_token_id``."""
    raise NotImplementedError


def tokenize(tokenizer: Any, texts: Sequence[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """B texts -> tokens (B, T) int64 and mask (B, T) int64, T the longest of them, at most ``length``.

    Each is [CLS] ... [SEP], padded on the right. ``[mask]`` and ``[mask]s`` become [MASK]. A longer text is cut before
    its [SEP]: count those beforehand with :func:`lengths`.
    """
    raise NotImplementedError


def lengths(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each text uncut, [CLS] and [SEP] included."""
    raise NotImplementedError
