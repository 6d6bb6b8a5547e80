"""One batch through captioners that fail in every way."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from openmmlo.building.captioning import BatchCaptioner, LossGuard, Outcome, out_of_memory
from openmmlo.errors import CaptioningStopped, OpenmmloError, SampleFailed
from openmmlo.records import Finding, Sample, Status


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@dataclass
class Fussy:
    """Captions upper-case its inputs; runs out of memory above ``fits``; breaks on inputs named in ``breaks``."""

    fits: int = 100
    breaks: frozenset[str] = frozenset()
    sizes: list[int] = field(default_factory=list)
    name: str = "fussy"

    def identity(self) -> dict[str, Any]:
        return {}

    def check(self) -> list[Finding]:
        return []

    def prepare(self, sample: Sample, image: Any) -> Any:
        return None

    def load(self, worker: int = 0) -> None:
        return

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        self.sizes.append(len(prepared))
        if len(prepared) > self.fits:
            raise OutOfMemoryError("CUDA out of memory")
        if self.breaks & set(prepared):
            raise ValueError("bad input\nwith a second line")
        return [item.upper() for item in prepared]


def run(captioner: Fussy, inputs: list[str]) -> tuple[list[Outcome], bool, list[str]]:
    said: list[str] = []
    outcomes, halved = BatchCaptioner(captioner, said.append).caption(inputs)
    return outcomes, halved, said


def test_memory_halves_the_batch_until_it_fits_and_says_so() -> None:
    captioner = Fussy(fits=3)
    letters = list("abcdefghijkl")
    outcomes, halved, said = run(captioner, letters)
    assert outcomes == [letter.upper() for letter in letters]
    assert halved
    assert captioner.sizes == [12, 6, 3, 3, 3, 3]
    assert len(said) == 2


def test_the_smaller_batch_stays_and_marks_every_batch_it_cuts() -> None:
    captioner = Fussy(fits=2)
    batcher = BatchCaptioner(captioner, lambda message: None)
    batcher.caption(list("abcd"))
    assert batcher.caption(list("ef")) == (["E", "F"], False)
    assert batcher.caption(list("ghi")) == (["G", "H", "I"], True)


def test_one_image_that_does_not_fit_stops_the_build() -> None:
    with pytest.raises(OpenmmloError, match="batch of one image"):
        run(Fussy(fits=0), ["a", "b"])


def test_a_bad_input_costs_no_other_its_caption() -> None:
    outcomes, halved, _ = run(Fussy(breaks=frozenset("c")), list("abcd"))
    assert not halved
    assert outcomes[:2] + outcomes[3:] == ["A", "B", "D"]
    failed = outcomes[2]
    assert isinstance(failed, SampleFailed)
    assert failed.status is Status.CAPTIONER
    assert failed.reason == "ValueError in the captioner; the log says more", "its words may hold local paths"
    assert failed.detail == "bad input with a second line"


def test_a_captioner_that_always_fails_stops_the_build() -> None:
    guard = LossGuard("fussy")
    broken = SampleFailed(Status.CAPTIONER, "ValueError: no")
    for _ in range(47):
        guard.notice(broken)
    guard.notice("A caption.")
    for _ in range(47):
        guard.notice(broken)
    with pytest.raises(OpenmmloError, match="failed on 48 images in a row"):
        guard.notice(broken)


def test_unreadable_images_never_blame_the_captioner() -> None:
    guard = LossGuard("fussy")
    for _ in range(500):
        guard.notice(SampleFailed(Status.UNREADABLE, "truncated"))


@pytest.mark.parametrize("text", ["", "  \n", "\0"])
def test_an_empty_caption_is_a_failure_with_its_own_status(text: str) -> None:
    outcomes, _, _ = run(Fussy(), [text])
    assert isinstance(outcomes[0], SampleFailed)
    assert outcomes[0].status is Status.NO_CAPTION


def test_captions_are_text_that_parquet_can_hold() -> None:
    outcomes, _, _ = run(Fussy(), [" a\ud800b\0 "])
    assert outcomes == ["A?B"]


def test_a_captioner_that_loses_count_is_refused() -> None:
    class Short(Fussy):
        def caption(self, prepared: Sequence[Any]) -> list[str]:
            return ["only one"]

    with pytest.raises(OpenmmloError, match="gave 1 captions for 2 images"):
        run(Short(), ["a", "b"])


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("expected scalar type Float"), False),
        (ValueError("out of memory, says the caption"), False),
    ],
)
def test_memory_errors_are_known_by_type_or_words(error: Exception, memory: bool) -> None:
    assert out_of_memory(error) is memory


def test_a_caption_that_is_no_text_is_refused() -> None:
    class Mute(Fussy):
        def caption(self, prepared: Sequence[Any]) -> list[str]:
            return [None for _ in prepared]  # type: ignore[misc]

    with pytest.raises(OpenmmloError, match="gave NoneType for a caption"):
        run(Mute(), ["a"])


class Choosy(Fussy):
    """Fails inputs in ``breaks`` without costing the others theirs, and stops at an exclamation mark."""

    def caption(self, prepared: Sequence[Any]) -> list[str | SampleFailed]:  # type: ignore[override]
        refused = SampleFailed(Status.CAPTIONER, "refused")
        said = [refused if item in self.breaks else item.upper().replace("Z", "") for item in prepared]
        if "!" in prepared:
            place = list(prepared).index("!")
            kept = [*said[:place], *[None] * (len(said) - place)]
            raise CaptioningStopped("the server is gone", kept)
        return said


def test_a_captioner_may_fail_one_sample_of_a_batch() -> None:
    outcomes, _, _ = run(Choosy(breaks=frozenset("b")), list("abcz"))
    assert [outcomes[0], outcomes[2]] == ["A", "C"]
    refused, empty = outcomes[1], outcomes[3]
    assert isinstance(refused, SampleFailed)
    assert refused.reason == "refused"
    assert isinstance(empty, SampleFailed)
    assert empty.status is Status.NO_CAPTION


def test_what_a_captioner_has_when_it_stops_is_kept() -> None:
    batcher = BatchCaptioner(Choosy(breaks=frozenset("b")), lambda message: None)
    outcomes, _ = batcher.caption(list("abz!c"))
    assert outcomes[0] == "A"
    assert [type(outcome) for outcome in outcomes[1:]] == [SampleFailed, SampleFailed, type(None), type(None)]
    assert str(batcher.stopped) == "the server is gone"


def test_parts_before_the_one_it_stopped_in_are_kept_too() -> None:
    batcher = BatchCaptioner(Choosy(), lambda message: None)
    batcher.most = 2
    assert batcher.caption(list("abc!ef")) == (["A", "B", "C", None, None, None], True)


def test_outcomes_that_do_not_fit_their_batch_are_not_mixed_up() -> None:
    class Confused(Fussy):
        def caption(self, prepared: Sequence[Any]) -> list[str]:
            if len(prepared) > 1:
                raise ValueError("one by one, please")
            if prepared == ["b"]:
                raise CaptioningStopped("gone", ["not b"])
            return super().caption(prepared)

    batcher = BatchCaptioner(Confused(), lambda message: None)
    assert batcher.caption(list("abc"))[0] == [None, None, None]
    assert batcher.stopped is not None


def test_a_stop_travels_between_processes_without_its_outcomes() -> None:
    stopped = pickle.loads(pickle.dumps(CaptioningStopped("gone", ["a", None])))  # noqa: S301 - our own bytes
    assert isinstance(stopped, OpenmmloError)
    assert (str(stopped), list(stopped.outcomes)) == ("gone", [])
