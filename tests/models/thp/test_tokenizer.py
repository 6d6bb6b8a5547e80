"""WordPiece of a data set's own captions, and how masked names and long texts are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_thp
from transformers import AutoTokenizer

from openmmlo.errors import ConfigError, DataError, ModelError
from openmmlo.models.thp import lengths, open_tokenizer, register, token_ids, tokenize, train_tokenizer

CAPTIONS = [
    "A red circle above a [mask] on grey ground.",
    "Two [mask]s, blue and green; a triangle's left.",
    "An orange square beside the circles, seen from above.",
] * 5


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(CAPTIONS, 110)


def words(tokenizer: Any, text: str, length: int = 40) -> list[str]:
    found: list[str] = tokenizer.convert_ids_to_tokens(tokenize(tokenizer, [text], length)[0][0])
    return found


def test_marks_come_first_and_words_are_found(tokenizer: Any) -> None:
    assert tokenizer.convert_ids_to_tokens(range(7)) == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]",
    ]  # fmt: skip
    assert len(tokenizer) <= 110
    assert words(tokenizer, "a red CIRCLE") == ["[CLS]", "a", "red", "circle", "[SEP]"]
    assert "mask" not in tokenizer.get_vocab()
    assert token_ids(tokenizer) == {
        "vocab_size": len(tokenizer), "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "mask_token_id": 4,
        "dec_token_id": 5, "enc_token_id": 6,
    }  # fmt: skip


def test_masked_names_become_the_mask(tokenizer: Any) -> None:
    assert words(tokenizer, "two [mask]s and a [mask].") == [
        *words(tokenizer, "two")[:-1], "[MASK]", *words(tokenizer, "and a")[1:-1], "[MASK]", ".", "[SEP]",
    ]  # fmt: skip


def test_marks_within_a_caption_are_words_like_any(tokenizer: Any) -> None:
    tokens, mask = tokenize(tokenizer, ["red [SEP] [PAD] [ENC] circle"], 40)
    assert (tokens < 7).sum() - (tokens == 1).sum() == 2
    assert tokens[0, 0] == 2
    assert tokens[0, -1] == 3
    assert mask.all()


def test_padding_is_on_the_right_up_to_the_longest(tokenizer: Any) -> None:
    texts = ["a red circle", "a", ""]
    tokens, mask = tokenize(tokenizer, texts, 40)
    assert tokens.shape == (3, 5)
    assert mask.tolist() == [[1] * 5, [1] * 3 + [0] * 2, [1] * 2 + [0] * 3]
    assert tokens[2].tolist() == [2, 3, 0, 0, 0]
    assert lengths(tokenizer, texts) == [5, 3, 2]
    assert lengths(tokenizer, []) == []


def test_a_cut_text_keeps_its_end_and_is_counted(tokenizer: Any) -> None:
    text = "a red circle above the circles"
    assert words(tokenizer, text, 4) == ["[CLS]", "a", "red", "[SEP]"]
    assert lengths(tokenizer, [text])[0] > 4
    with pytest.raises(ValueError, match="1 texts of at most 2 tokens"):
        tokenize(tokenizer, [text], 2)


def test_saved_and_opened_it_is_the_same(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = open_tokenizer(str(tmp_path))
    assert token_ids(again) == token_ids(tokenizer)
    for found, expected in zip(tokenize(again, CAPTIONS[:3], 20), tokenize(tokenizer, CAPTIONS[:3], 20), strict=True):
        assert found.tolist() == expected.tolist()
    assert again.batch_decode(tokenize(again, ["a red circle"], 9)[0], skip_special_tokens=True) == ["a red circle"]


def test_transformers_opens_it_beside_its_model(tmp_path: Path) -> None:
    folder = tiny_thp.save(tmp_path / "saved")
    register()
    found, text = AutoTokenizer.from_pretrained(folder), "A small red square."
    assert token_ids(found) == token_ids(tiny_thp.tokenizer())
    assert found([text])["input_ids"] == tokenize(tiny_thp.tokenizer(), [text], 24)[0].tolist()


def test_berts_tokenizer_gets_the_two_marks_behind_its_words(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*marks, "a", "cat", "##s"])}
    BertTokenizer(vocab=vocabulary).save_pretrained(tmp_path)
    found = open_tokenizer(str(tmp_path))
    ids = token_ids(found)
    assert (ids["dec_token_id"], ids["enc_token_id"], ids["vocab_size"]) == (8, 9, 10)
    assert words(found, "A [mask]s cats") == ["[CLS]", "a", "[MASK]", "cat", "##s", "[SEP]"]


def test_what_cannot_be_trained_or_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="A vocabulary of 12 is too small"):
        train_tokenizer(CAPTIONS, 12)
    with pytest.raises(DataError, match="No word"):
        train_tokenizer(["", "[mask]"], 50)
    with pytest.raises(ModelError, match="holds no tokenizer"):
        open_tokenizer(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="not in the local cache and the Hub cannot be reached"):
        open_tokenizer("someone/absent")


@pytest.mark.slow
def test_every_process_trains_the_same() -> None:
    """The trainer of the tokenizers library alone numbers letters in another order each time."""
    program = (
        "import json, sys; from openmmlo.models.thp import train_tokenizer; "
        "print(train_tokenizer(json.load(sys.stdin), 110).backend_tokenizer.to_str())"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, input=json.dumps(CAPTIONS), capture_output=True, text=True, check=True)
    assert found.stdout.strip() == train_tokenizer(CAPTIONS, 110).backend_tokenizer.to_str()
