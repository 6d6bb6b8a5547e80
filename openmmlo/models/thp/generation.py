"""Captions are written word by word: greedily, or by a beam search. Letters: B images, K beams, L tokens, V words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from openmmlo.models.thp.text import Memory, select

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel


@dataclass(frozen=True, slots=True)
class Search:
    """How a caption is looked for, without sampling.

    Attributes:
        num_beams: K; 1 is greedy.
        max_length: tokens at most, [SEP] included.
        min_length: tokens, [SEP] included, before which it may not end.
        repetition_penalty: divides positive and multiplies negative logits of words already written.
        length_penalty: beams are compared by log probability / tokens ** length_penalty, [SEP] counted.
    """

    num_beams: int = 1
    max_length: int = 30
    min_length: int = 0
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.num_beams < 1 or self.max_length < 1 or not self.repetition_penalty > 0:
            raise ValueError(f"{self}: expected num_beams and max_length from 1, and repetition_penalty above 0.")


class Written(NamedTuple):
    """The best caption of each image.

    Attributes:
        tokens: (B, L) int64: words and [SEP], then padding; one that reached the longest length has no [SEP].
        log_probabilities: (B,) of all its tokens together.
    """

    tokens: torch.Tensor
    log_probabilities: torch.Tensor


@torch.no_grad()
def write_captions(model: ThpModel, memory: Memory, search: Search) -> Written:
    """Write a caption for each image of a memory.

    At every word the K best of all continuations are kept; a caption that has its [SEP] stays among them as it is, and
    the search ends when it is true of all K. So one beam takes the likeliest word each time.

    Raises:
        ValueError: ``max_length`` is more than the model reads.
    """
    config = model.config
    if search.max_length > config.text_length:
        raise ValueError(f"max_length is {search.max_length}; this model writes at most {config.text_length} tokens.")
    images, beams, words = len(memory[0].keys), search.num_beams, config.vocab_size
    device = memory[0].keys.device
    if beams > 1:
        memory = select(memory, torch.arange(images, device=device).repeat_interleave(beams))
    written = torch.empty((images, beams, 0), dtype=torch.int64, device=device)
    sums = torch.full((images, beams), float("-inf"), device=device)
    sums[:, 0] = 0.0  # all beams are alike before the first word
    lengths = torch.zeros((images, beams), device=device)
    ended = torch.zeros((images, beams), dtype=torch.bool, device=device)
    nothing = torch.full((words,), float("-inf"), device=device)
    nothing[config.pad_token_id] = 0.0  # an ended caption goes on with padding, at no cost
    latest = torch.full((images * beams,), config.dec_token_id, device=device)
    past: Memory | None = None
    for place in range(1, search.max_length + 1):
        states, past = model.text.step(latest, memory, past)
        logits = _penalised(model.word_logits(states).float().view(images, beams, words), written, search)
        if place < search.min_length:
            logits[..., config.sep_token_id] = float("-inf")
        gains = torch.where(ended.unsqueeze(-1), nothing, logits.log_softmax(-1))
        lengths = lengths + ~ended
        totals = sums.unsqueeze(-1) + gains
        compared = totals / lengths.unsqueeze(-1) ** search.length_penalty
        best = compared.flatten(1).topk(beams).indices
        beam, word = best // words, best % words
        sums = totals.flatten(1).gather(1, best)
        lengths = lengths.gather(1, beam)
        ended = ended.gather(1, beam) | (word == config.sep_token_id)
        written = torch.cat([written.gather(1, beam.unsqueeze(-1).expand(-1, -1, place - 1)), word.unsqueeze(-1)], 2)
        if bool(ended.all()):
            break
        latest = word.flatten()
        if beams > 1:
            past = select(past, (beam + torch.arange(images, device=device).unsqueeze(1) * beams).flatten())
    return Written(written[:, 0, : int(lengths[:, 0].max())], sums[:, 0])


def _penalised(logits: torch.Tensor, written: torch.Tensor, search: Search) -> torch.Tensor:
    """(B, K, V) logits, those of words already written made less likely."""
    if search.repetition_penalty == 1.0 or not written.shape[-1]:
        return logits
    before = logits.gather(-1, written)
    less = torch.where(before > 0, before / search.repetition_penalty, before * search.repetition_penalty)
    return logits.scatter(-1, written, less)
