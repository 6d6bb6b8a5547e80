"""Names of tokenizers come in; the text encoders they stand for, their limits, and who counts tokens for them go out.

Nothing is guessed: an encoder whose tokenizer is not at hand has a reason in place of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from openmmlo.building.measures.quality.clip_tokens import clip_tokens
from openmmlo.building.measures.quality.pieces import Numbers, Pieces
from openmmlo.errors import ConfigError, ModelError

AUTO = "auto"
_ENDLESS = 10**6  # transformers writes a number beyond any text where a tokenizer states no limit


@dataclass(frozen=True)
class Limit:
    """How many tokens a text encoder reads; longer captions are cut.

    Attributes:
        tokenizer: name of its tokenizer.
        reason: why its tokens were not counted, or None where they were.
    """

    encoder: str
    tokenizer: str
    tokens: int
    reason: str | None = None


ENCODERS = (
    Limit("clip", "clip", 77),
    Limit("siglip", "siglip", 64),
    Limit("bert", "bert", 512),
    Limit("thp-pretrain", "bert", 30),
    Limit("thp-finetune", "bert", 512),
)
"""Encoders and what they read, special tokens included: CLIP (Radford et al., ICML 2021), SigLIP (Zhai et al., ICCV
2023), BERT (Devlin et al., NAACL 2019), and the T-hp models as released: 30 in pre-training, 512 in fine-tuning."""

ON_HUB = {"siglip": "google/siglip-base-patch16-224", "bert": "google-bert/bert-base-uncased"}
"""Tokenizer -> its repository on the Hub."""


class Counter(Protocol):
    """Counts tokens; it can be pickled, for other processes."""

    def count(self, pieces: Pieces, texts: Any) -> Numbers:
        """(N,) tokens, special ones included, of the captions of an Arrow array, whose pieces these are."""
        ...


@dataclass(frozen=True)
class FastTokens:
    """Counts with a tokenizer of the ``tokenizers`` library, written as its JSON."""

    json: str

    def count(self, pieces: Pieces, texts: Any) -> Numbers:
        found = self._tokenizer.encode_batch_fast(texts.to_pylist())
        return np.fromiter(map(len, found), np.int64, len(found))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.json)
        tokenizer.no_truncation()  # saved with a model's own settings, it would hide what it cuts
        tokenizer.no_padding()
        return tokenizer

    def __getstate__(self) -> dict[str, Any]:
        return {"json": self.json}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class SlowTokens:
    """Counts with a tokenizer of transformers that the ``tokenizers`` library cannot run (SentencePiece)."""

    tokenizer: Any

    def count(self, pieces: Pieces, texts: Any) -> Numbers:
        found = self.tokenizer(texts.to_pylist(), truncation=False, padding=False, verbose=False)["input_ids"]
        return np.fromiter(map(len, found), np.int64, len(found))


def find_tokenizers(name: str = AUTO, tokens: int | None = None) -> tuple[list[Limit], dict[str, Counter]]:
    """Limits of text encoders, and who counts for them by tokenizer name.

    Args:
        name: ``auto`` (all of :data:`ENCODERS` whose tokenizer is on this machine), one of their tokenizers (fetched
            where it is not), or any tokenizer of transformers: its Hub name or a folder.
        tokens: the limit, special tokens included; needed where a tokenizer states none.

    Raises:
        ConfigError: a limit without a tokenizer, no limit where one is needed, or one below 1.
        ModelError: a tokenizer asked for by name that cannot be had.
    """
    if tokens is not None and tokens < 1:
        raise ConfigError(f"tokens is {tokens}; expected at least 1.")
    known = {limit.tokenizer for limit in ENCODERS}
    if name == AUTO:
        if tokens is not None:
            raise ConfigError("tokens limits the tokenizer that you name; name one, or leave tokens out.")
        return _at_hand(sorted(known))
    if name in known:
        counter, _ = _open(name, here_only=False)
        limits = [limit for limit in ENCODERS if limit.tokenizer == name]
        return [replace(limit, tokens=tokens or limit.tokens) for limit in limits], {name: counter}
    counter, stated = _from_transformers(name, here_only=False)
    limit = tokens or stated
    if limit is None:
        raise ConfigError(f"Tokenizer {name!r} states no limit; say how many tokens its model reads with --tokens N.")
    label = Path(name).resolve().name if Path(name).is_dir() else name  # a local path must not be published
    return [Limit(label, label, limit)], {label: counter}


def _at_hand(names: Iterable[str]) -> tuple[list[Limit], dict[str, Counter]]:
    counters: dict[str, Counter] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            counters[name], _ = _open(name, here_only=True)
        except ModelError as error:
            reasons[name] = str(error)
    return [replace(limit, reason=reasons.get(limit.tokenizer)) for limit in ENCODERS], counters


def _open(name: str, here_only: bool) -> tuple[Counter, int | None]:
    if name not in ON_HUB:
        return _OPENERS[name](), None
    if here_only and not _cached(ON_HUB[name]):
        raise ModelError(f"{ON_HUB[name]} is not in the local Hugging Face cache; --tokenizer {name} fetches it.")
    return _from_transformers(ON_HUB[name], here_only)


_OPENERS: Mapping[str, Callable[[], Counter]] = {"clip": clip_tokens}


def _cached(repository: str) -> bool:
    """Whether a tokenizer's configuration was downloaded before; found out without loading transformers and torch."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, "tokenizer_config.json"), str)


def _from_transformers(name: str, here_only: bool) -> tuple[Counter, int | None]:
    """A counter, and the limit that the tokenizer states."""
    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=here_only, trust_remote_code=False)
    except Exception as error:  # whatever libraries throw for files that are missing or broken, or no tokenizer
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        if here_only:
            said = type(error).__name__  # messages may hold local paths, and this one is published
        raise ModelError(
            f"Tokenizer {name!r} cannot be loaded ({said}). Give a name on the Hub or a folder written by "
            "save_pretrained; SentencePiece models need: pip install sentencepiece protobuf."
        ) from error
    stated = tokenizer.model_max_length
    backend = getattr(tokenizer, "backend_tokenizer", None)
    counter = SlowTokens(tokenizer) if backend is None else FastTokens(backend.to_str())
    return counter, int(stated) if stated < _ENDLESS else None


def described(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Limits as JSON."""
    return [asdict(limit) for limit in limits]
