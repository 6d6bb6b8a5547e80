"""How captions are searched for: named presets, and single values that override them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from openmmlo.errors import ConfigError, UnknownName


@dataclass(frozen=True, slots=True)
class Generation:
    """Beam search without sampling.

    Attributes:
        num_beams: 1 is greedy.
        max_new_tokens: longest caption, in tokens of the language model.
        min_length: shortest output, in the sense of each captioner.
        repetition_penalty: 1 is none; above, tokens already generated become less likely.
        length_penalty: exponent of the length by which beams are normalised.
    """

    num_beams: int
    max_new_tokens: int
    min_length: int
    repetition_penalty: float
    length_penalty: float

    def __post_init__(self) -> None:
        for name, least in (("num_beams", 1), ("max_new_tokens", 1), ("min_length", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected at least {least}.")
        if not self.repetition_penalty > 0:
            raise ConfigError(f"repetition_penalty is {self.repetition_penalty}; expected above 0 (1 is none).")

    def values(self) -> dict[str, int | float]:
        return asdict(self)


PRESETS = {
    # Defaults of generate() in LAVIS, the original library of InstructBLIP (Dai et al., NeurIPS 2023). The paper
    # of the data set states no parameters.
    "lavis": Generation(num_beams=5, max_new_tokens=256, min_length=1, repetition_penalty=1.5, length_penalty=1.0),
    "greedy": Generation(num_beams=1, max_new_tokens=256, min_length=1, repetition_penalty=1.0, length_penalty=1.0),
}


def generation(preset: str, overrides: Mapping[str, int | float | None]) -> Generation:
    """A preset with single values replaced; None keeps the preset's.

    Raises:
        UnknownName: no such preset.
        ConfigError: a value out of range.
    """
    if preset not in PRESETS:
        raise UnknownName("preset", preset, PRESETS)
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    return replace(PRESETS[preset], **given)
