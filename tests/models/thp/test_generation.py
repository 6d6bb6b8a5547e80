"""Captions against a search by hand, which decodes every prefix anew."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch

from openmmlo.models.thp import ThpModel
from openmmlo.models.thp.generation import Search, write_captions

MakeModel = Callable[..., ThpModel]
MakePairs = Callable[..., Any]

MARKS = {
    "pad_token_id": 0, "cls_token_id": 1, "mask_token_id": 2, "enc_token_id": 3, "dec_token_id": 4, "sep_token_id": 5,
}  # fmt: skip


def log_probabilities(model: ThpModel, image: torch.Tensor, words: list[int]) -> torch.Tensor:
    """(V,) of the word that follows; ``image`` (1, P, width)."""
    tokens = torch.tensor([[model.config.dec_token_id, *words]])
    with torch.no_grad():
        return model.decode(image, tokens)[0, -1].log_softmax(-1)


def greedy_by_hand(model: ThpModel, image: torch.Tensor, longest: int) -> list[int]:
    words: list[int] = []
    while len(words) < longest and model.config.sep_token_id not in words:
        words.append(int(log_probabilities(model, image, words).argmax()))
    return words


def padded(words: list[int], length: int, padding: int) -> list[int]:
    return words + [padding] * (length - len(words))


def test_greedy_is_the_likeliest_word_each_time(tiny_model: MakeModel, pairs: MakePairs) -> None:
    """Small vocabulary, so that some captions end before others."""
    lengths, texts = set(), set()
    for seed in range(6):
        model = tiny_model(seed, vocab_size=12, **MARKS)
        pixels, _, _ = pairs(model, count=5)
        pixels *= 4
        found = model.generate_captions(pixels, max_length=8)
        image = model.image_tokens(pixels)
        expected = [greedy_by_hand(model, image[row : row + 1], 8) for row in range(5)]
        length = max(map(len, expected))
        assert found.tolist() == [padded(words, length, model.config.pad_token_id) for words in expected]
        lengths |= {len(words) for words in expected}
        texts |= {tuple(words) for words in expected}
    assert len(lengths) > 2
    assert len(texts) > 8


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_with_beams_for_all_the_best_caption_is_found(
    tiny_model: MakeModel, pairs: MakePairs, seed: int, length_penalty: float
) -> None:
    """All captions of up to three tokens of eight, by brute force."""
    model = tiny_model(seed, vocab_size=8, **MARKS)
    end = model.config.sep_token_id
    pixels, _, _ = pairs(model, count=2)
    image = model.image_tokens(pixels)
    search = Search(num_beams=8**3, max_length=3, length_penalty=length_penalty)
    found = write_captions(model, model.memory(image), search)
    for row in range(2):
        follow = {
            words: log_probabilities(model, image[row : row + 1], list(words))
            for count in range(3)
            for words in product(range(8), repeat=count)
        }
        best, score, total = (), float("-inf"), 0.0
        for count in (1, 2, 3):
            for words in product(range(8), repeat=count):
                if end in words[:-1] or (count < 3 and words[-1] != end):
                    continue
                value = sum(float(follow[words[:place]][words[place]]) for place in range(count))
                if value / count**length_penalty > score:
                    best, score, total = words, value / count**length_penalty, value
        assert found.tokens[row].tolist() == padded(list(best), found.tokens.shape[1], 0)
        assert float(found.log_probabilities[row]) == pytest.approx(total, rel=1e-4)


def test_more_beams_find_likelier_captions(tiny_model: MakeModel, pairs: MakePairs) -> None:
    better = 0
    for seed in range(6):
        model = tiny_model(seed, vocab_size=12, **MARKS)
        pixels, _, _ = pairs(model, count=4)
        memory = model.memory(model.image_tokens(pixels))
        one, few = (
            write_captions(model, memory, Search(num_beams=beams, max_length=5, length_penalty=0.0)).log_probabilities
            for beams in (1, 12**2)
        )
        assert (few >= one - 1e-5).all()
        better += int((few > one + 1e-3).sum())
    assert better > 0


@pytest.mark.parametrize("beams", [1, 3])
def test_images_do_not_disturb_each_other(tiny_model: MakeModel, pairs: MakePairs, beams: int) -> None:
    model = tiny_model(2, vocab_size=12, **MARKS)
    pixels, _, _ = pairs(model, count=5)
    pixels *= 4
    together = model.generate_captions(pixels, num_beams=beams, max_length=7)
    for row in range(5):
        alone = model.generate_captions(pixels[row : row + 1], num_beams=beams, max_length=7)[0].tolist()
        assert together[row].tolist() == padded(alone, together.shape[1], 0)


@pytest.mark.parametrize("beams", [1, 3])
def test_it_stops_at_the_end(tiny_model: MakeModel, pairs: MakePairs, beams: int) -> None:
    model = tiny_model()
    pixels, _, _ = pairs(model)
    end = model.config.sep_token_id
    with torch.no_grad():
        model.language_head.bias[end] = 1_000.0
    assert model.generate_captions(pixels, num_beams=beams).tolist() == [[end]] * 3
    found = model.generate_captions(pixels, num_beams=beams, min_length=4)
    assert found.shape == (3, 4)
    assert (found[:, -1] == end).all()
    assert not (found[:, :-1] == end).any()
    with torch.no_grad():
        model.language_head.bias[end] = -1_000.0
    assert model.generate_captions(pixels, num_beams=beams).shape == (3, model.config.text_length - 1)
    assert model.generate_captions(pixels, num_beams=beams, max_length=2).shape == (3, 2)


def test_words_already_written_are_made_less_likely(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(1, vocab_size=12, **MARKS)
    with torch.no_grad():
        model.language_head.bias[model.config.sep_token_id] = -1_000.0
    pixels, _, _ = pairs(model, count=4)
    image = model.image_tokens(pixels)
    found = model.generate_captions(pixels, max_length=6, repetition_penalty=1.7)
    for row in range(4):
        words: list[int] = []
        for _ in range(6):
            tokens = torch.tensor([[model.config.dec_token_id, *words]])
            with torch.no_grad():
                logits = model.decode(image[row : row + 1], tokens)[0, -1].tolist()
            for word in set(words):
                logits[word] = logits[word] / 1.7 if logits[word] > 0 else logits[word] * 1.7
            words.append(logits.index(max(logits)))
        assert found[row].tolist() == words
    assert found.tolist() != model.generate_captions(pixels, max_length=6).tolist()


def test_more_than_the_model_writes(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model()
    pixels, _, _ = pairs(model)
    with pytest.raises(ValueError, match="max_length is 13; this model writes at most 12"):
        model.generate_captions(pixels, max_length=13)
    with pytest.raises(ValueError, match="expected num_beams and max_length from 1"):
        model.generate_captions(pixels, num_beams=0)
