"""Texts become tokens: BERT's WordPiece, trained on a data set's captions or taken from the Hub.

[ENC] stands in front of a text that is read with its image, [DEC] in front of one that is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ConfigError, DataError, ModelError
from openmmlo.models.checkpoints import first_line, require_files
from openmmlo.records import MASK

if TYPE_CHECKING:
    import torch

MARKS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""BERT's marks, by the names that transformers gives them."""

FRONT = ("[DEC]", "[ENC]")
"""The marks in front of a text beside [CLS], in the order in which the released checkpoints number them."""

_MASKED = re.compile(rf"{re.escape(MASK)}(?:s\b)?")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A lower-case WordPiece tokenizer (``PreTrainedTokenizerFast``) of the words in ``texts``; the same for the same.

    Args:
        vocabulary: entries at most, marks included.

    Raises:
        ConfigError: a vocabulary that marks and letters alone fill.
        DataError: no word in the texts.
    """
    from tokenizers import decoders, models, processors, trainers
    from transformers import PreTrainedTokenizerFast

    marks = [*MARKS.values(), *FRONT]
    cleaned = [_MASKED.sub(" ", text.lower()) for text in texts]
    draft = _untrained(models.WordPiece(unk_token=MARKS["unk_token"]))
    # The trainer numbers letters within a word as it meets them, in an order that differs from process to process:
    # they are announced to it as marks, and the tokenizer is made anew from the vocabulary alone.
    letters = sorted(f"##{letter}" for letter in _letters_within(draft, cleaned))
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=[*marks, *letters], show_progress=False)
    draft.train_from_iterator(cleaned, trainer)
    entries = draft.get_vocab()
    if len(entries) <= len(marks):
        raise DataError("No word in the texts that the tokenizer is trained on; expected captions.")
    if len(entries) > vocabulary:
        raise ConfigError(
            f"A vocabulary of {vocabulary:,} is too small: marks and the letters of the captions are {len(entries):,} "
            "entries. Set it well above that."
        )
    backend = _untrained(models.WordPiece(entries, unk_token=MARKS["unk_token"]))
    backend.add_special_tokens(marks)
    backend.decoder = decoders.WordPiece()
    ends = [(mark, entries[mark]) for mark in (MARKS["cls_token"], MARKS["sep_token"])]
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=backend, padding_side="right", truncation_side="right", **MARKS)


def _untrained(model: Any) -> Any:
    """A tokenizer that cuts texts into words as BERT does."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    backend = Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def _letters_within(backend: Any, texts: Iterable[str]) -> set[str]:
    """Letters that stand behind another one in some word."""
    found: set[str] = set()
    for text in texts:
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text)):
            found.update(word[1:])
    return found


def open_tokenizer(name: str) -> Any:
    """The tokenizer in a folder, else of the Hub, with [DEC] and [ENC] added where it lacks them.

    Of ``bert-base-uncased`` they get 30522 and 30523, as in the released checkpoints.

    Raises:
        ModelError: it is neither a folder with a tokenizer nor cached nor on a Hub that can be reached, or it has no
            [CLS], [SEP], [MASK] and [PAD].
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local:
        require_files(name, ("tokenizer.json", "vocab.txt"))
    try:
        if local:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        else:
            tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelError(f"{name!r} holds no tokenizer that can be read: {first_line(str(error))}") from error
    absent = [mark for mark in MARKS if getattr(tokenizer, mark, None) is None]
    if absent:
        raise ModelError(f"The tokenizer of {name!r} has no {', '.join(absent)}; expected one of BERT's kind.")
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([mark for mark in FRONT if mark not in known], special_tokens=True)
    return tokenizer


def token_ids(tokenizer: Any) -> dict[str, int]:
    """What a ``ThpConfig`` says of a tokenizer: ``vocab_size``, ``pad_token_id`` ... ``dec_token_id``."""
    names = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "cls", "sep", "mask")}
    names |= {"dec": tokenizer.convert_tokens_to_ids(FRONT[0]), "enc": tokenizer.convert_tokens_to_ids(FRONT[1])}
    return {"vocab_size": len(tokenizer), **{f"{name}_token_id": int(number) for name, number in names.items()}}


def tokenize(tokenizer: Any, texts: Sequence[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """B texts -> tokens (B, T) int64 and mask (B, T) int64, T the longest of them, at most ``length``.

    Each is [CLS] ... [SEP], padded on the right. ``[mask]`` and ``[mask]s`` become [MASK]; other marks are words like
    any. A longer text is cut before its [SEP]: count those beforehand with :func:`lengths`.

    Raises:
        ValueError: no text, or a length below 3.
    """
    if not texts or length < 3:
        raise ValueError(f"{len(texts)} texts of at most {length} tokens; expected some, of 3 or more.")
    found = tokenizer(
        _prepared(tokenizer, texts),
        padding=True,
        padding_side="right",
        truncation=True,
        max_length=length,
        return_tensors="pt",
    )
    return found["input_ids"], found["attention_mask"]


def lengths(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each text uncut, [CLS] and [SEP] included."""
    if not texts:
        return []
    found = tokenizer(_prepared(tokenizer, texts), padding=False, truncation=False, verbose=False)
    return [len(ids) for ids in found["input_ids"]]


def _prepared(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """Lower case, in which no mark of the tokenizer is left, then its own mask for ours."""
    return [_MASKED.sub(tokenizer.mask_token, text.lower()) for text in texts]
