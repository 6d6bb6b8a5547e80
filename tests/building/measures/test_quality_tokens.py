"""Token counts against the tokenizers that they stand for; limits and reasons where there is none."""

from __future__ import annotations

import importlib.util
import pickle
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from openmmlo.building.measures.quality import clip_tokens as clip
from openmmlo.building.measures.quality import truncation
from openmmlo.building.measures.quality.pieces import Pieces
from openmmlo.building.measures.quality.truncation import ENCODERS, FastTokens, SlowTokens, find_tokenizers
from openmmlo.errors import ConfigError, ModelError

CHARACTERS = (
    "abcdefgh ABC XYZ  012 3.,!?'s't're've'll'd-_()[]<>&;\"|\\/@#\t\n\r\x0b\x1c\x00\x1b éèüßÅİıſςσΣ’‘“”–—…½²ⅷ٣日本語가"
    "\u0301\u0308\u00a0\u2028\u2003\u200b\ufeff\ufb01\uff21\U0001f600\U0001f468\u200d\U0001f469â€™Ã©"
)
SNIPPETS = (
    "&amp;", "&amp;lt;", "&eacute;", "<start_of_text>", "<END_OF_TEXT>", "don't", "it’s", "[mask]", "[mask]s", "photo",
    "unbelievably", "Antidisestablishmentarianism", "xqzjk", "naïve", "\x1b[31m", "cafÃ©", "123456", "...", "ﬁsh",
)  # fmt: skip


def odd_texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    pieces = [*CHARACTERS, *SNIPPETS, *(" " * 10)]
    odd = ["".join(rng.choices(pieces, k=rng.randint(0, 80))) for _ in range(count)]
    plain = [" ".join(rng.choices(("a", "dog's", "on", "grass,", "Brown", "e-mail", "3.5"), k=9)) for _ in range(50)]
    return ["", " ", *odd, *plain]


@pytest.fixture(scope="module")
def open_clip() -> ModuleType:
    """open_clip's tokenizer alone: the package around it takes seconds to load."""
    (folder,) = importlib.util.find_spec("open_clip").submodule_search_locations  # type: ignore[union-attr,misc]
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", Path(folder) / "tokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def counted(counter: Any, texts: list[str]) -> list[int]:
    column = pa.array(texts)
    return list(counter.count(Pieces.split(column), column))


def test_clip_counts_what_open_clip_cuts(open_clip: ModuleType) -> None:
    texts = odd_texts(3000)
    cut = open_clip.SimpleTokenizer()
    expected = [len(cut.encode(text)) + 2 for text in texts]
    found = counted(clip.clip_tokens(), texts)
    assert [(text, a, b) for text, a, b in zip(texts, found, expected, strict=True) if a != b] == []
    assert max(expected) > 77 > min(expected)


def test_clip_counts_the_same_in_another_process_and_of_a_slice(open_clip: ModuleType) -> None:
    texts = odd_texts(50, seed=3)
    counter = clip.clip_tokens()
    column = pa.array(texts)
    before = counted(counter, texts)
    assert counted(pickle.loads(pickle.dumps(counter)), texts) == before  # noqa: S301
    part = column[7:30]
    assert list(counter.count(Pieces.split(part), part)) == before[7:30]


@pytest.fixture(scope="module")
def saved_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece tokenizer with BERT's template, saved with truncation and padding on, and with a limit of 16."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        ["a brown dog on grass", "two cats near a teapot"],
        trainers.WordPieceTrainer(vocab_size=60, special_tokens=special),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    folder = tmp_path_factory.mktemp("tokenizers") / "little-bert"
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", model_max_length=16)
    fast.save_pretrained(folder)
    return folder


def test_any_tokenizer_counts_whole_captions(saved_tokenizer: Path) -> None:
    from transformers import AutoTokenizer

    limits, counters = find_tokenizers(str(saved_tokenizer))
    assert [(limit.encoder, limit.tokens, limit.reason) for limit in limits] == [("little-bert", 16, None)]
    texts = [*odd_texts(200, seed=5), "a brown dog " * 30]
    reference = AutoTokenizer.from_pretrained(saved_tokenizer)
    expected = [len(reference(text, truncation=False)["input_ids"]) for text in texts]
    counter = counters["little-bert"]
    assert isinstance(counter, FastTokens)
    assert counted(counter, texts) == expected
    assert counted(pickle.loads(pickle.dumps(counter)), texts) == expected  # noqa: S301
    assert counted(SlowTokens(reference), texts) == expected
    assert max(expected) > 60


def test_a_limit_can_be_told_and_must_be_where_none_is_stated(saved_tokenizer: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    assert find_tokenizers(str(saved_tokenizer), 5)[0][0].tokens == 5
    endless = AutoTokenizer.from_pretrained(saved_tokenizer)
    endless.model_max_length = int(1e30)
    endless.save_pretrained(tmp_path / "endless")
    with pytest.raises(ConfigError, match="--tokens N"):
        find_tokenizers(str(tmp_path / "endless"))
    assert find_tokenizers(str(tmp_path / "endless"), 9)[0][0].tokens == 9
    with pytest.raises(ConfigError, match="at least 1"):
        find_tokenizers("clip", 0)
    with pytest.raises(ConfigError, match="name one"):
        find_tokenizers("auto", 77)


def test_no_local_path_is_published(saved_tokenizer: Path, tmp_path: Path) -> None:
    limits, _ = find_tokenizers(str(saved_tokenizer))
    assert str(saved_tokenizer.parent) not in repr(truncation.described(limits))
    with pytest.raises(ModelError, match="cannot be loaded"):
        find_tokenizers(str(tmp_path))


def test_auto_takes_what_is_here_and_says_why_it_leaves_the_rest(
    saved_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truncation, "_cached", lambda repository: False)
    limits, counters = find_tokenizers()
    assert list(counters) == ["clip"]
    assert [(limit.encoder, limit.tokens, limit.reason is None) for limit in limits] == [
        ("clip", 77, True), ("siglip", 64, False), ("bert", 512, False), ("thp-pretrain", 30, False),
        ("thp-finetune", 512, False),
    ]  # fmt: skip
    assert "--tokenizer bert fetches it" in str(limits[2].reason)
    monkeypatch.setattr(truncation, "_cached", lambda repository: "bert" in repository)
    monkeypatch.setitem(truncation.ON_HUB, "bert", str(saved_tokenizer))
    limits, counters = find_tokenizers()
    assert sorted(counters) == ["bert", "clip"]
    assert [limit.encoder for limit in limits if limit.reason is None] == [
        "clip",
        "bert",
        "thp-pretrain",
        "thp-finetune",
    ]
    assert [(limit.encoder, limit.tokens) for limit in find_tokenizers("bert")[0]] == [
        ("bert", 512), ("thp-pretrain", 30), ("thp-finetune", 512),
    ]  # fmt: skip


def test_a_missing_extra_is_said_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r'pip install "openmmlo\[clip\]"'):
        find_tokenizers("clip")
    limits, counters = find_tokenizers("auto")
    assert "clip" not in counters
    assert limits[0].reason == clip.MISSING


def test_encoders_and_their_tokenizers_are_all_known() -> None:
    assert {limit.tokenizer for limit in ENCODERS} == {"clip", *truncation.ON_HUB}
