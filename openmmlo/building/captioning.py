"""One batch of prepared inputs through a captioner, whatever it throws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from openmmlo.building.captioners import Captioner
from openmmlo.errors import CaptioningStopped, OpenmmloError, SampleFailed
from openmmlo.records import Status

_LOST_IMAGES = 48

Outcome = str | SampleFailed | None


class BatchCaptioner:
    """Captions batches; out of memory halves them, and one bad sample costs no other its caption.

    Args:
        captioner: loaded.
        say: told, in a sentence, when a batch is halved.

    After a halving the smaller size stays. ``halved`` counts the batches that were cut: their captions may differ in
    the last bit of arithmetic from an undisturbed run, so they are marked.

    Where the captioner stops within a batch, ``stopped`` says why: keep the outcomes there are, then raise it.
    """

    def __init__(self, captioner: Captioner, say: Callable[[str], None]) -> None:
        self.captioner = captioner
        self.say = say
        self.most: int | None = None
        self.stopped: CaptioningStopped | None = None

    def caption(self, payloads: Sequence[Any]) -> tuple[list[Outcome], bool]:
        """Caption a batch.

        Returns:
            one caption or failure a payload, in order, None where the captioner stopped before it came to one; and
            whether the batch was halved for memory.

        Raises:
            OpenmmloError: one image alone does not fit into memory.
        """
        outcomes: list[Outcome] = []
        halved = self.most is not None and self.most < len(payloads)
        start = 0
        while start < len(payloads):
            part = payloads[start : start + (self.most or len(payloads))]
            fitted = True
            try:
                outcomes += self._attempt(part)
            except CaptioningStopped as stopped:
                self.stopped = stopped
                whole = len(stopped.outcomes) == len(part)  # not where the part was tried again one by one
                outcomes += [None if item is None else self._kept(item) for item in stopped.outcomes if whole]
                return [*outcomes, *[None] * (len(payloads) - len(outcomes))], halved
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise OpenmmloError(
                        "Out of memory with a batch of one image. Use a smaller model, --dtype bfloat16, "
                        "or a device with more memory."
                    ) from error
                fitted = False
            if fitted:
                start += len(part)
                continue
            _free_memory()  # only here: inside the handler the traceback still holds the tensors
            self.most = len(part) // 2
            halved = True
            self.say(f"out of memory with {len(part)} images at once; going on with {self.most}")
        return outcomes, halved

    def _attempt(self, part: Sequence[Any]) -> list[str | SampleFailed]:
        try:
            captions = self.captioner.caption(part)
        except Exception as error:
            if out_of_memory(error) or isinstance(error, OpenmmloError):
                raise
            if len(part) == 1:
                return [captioner_failure(error)]
            return [outcome for payload in part for outcome in self._attempt([payload])]
        if len(captions) != len(part):
            raise OpenmmloError(
                f"Captioner {self.captioner.name!r} gave {len(captions)} captions for {len(part)} images; "
                "caption() must return one for each, in order."
            )
        return [self._kept(outcome) for outcome in captions]

    def _kept(self, outcome: object) -> str | SampleFailed:
        return outcome if isinstance(outcome, SampleFailed) else _clean(outcome, self.captioner.name)


class LossGuard:
    """Notices that it is the captioner that is broken, not the images: it failed on dozens in a row."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lost = 0

    def notice(self, outcome: str | SampleFailed) -> None:
        """Hear of every sample's outcome in turn. Raises OpenmmloError at the captioner's 48th failure in a row."""
        if not isinstance(outcome, SampleFailed) or outcome.status is not Status.CAPTIONER:
            self._lost = 0
            return
        self._lost += 1
        if self._lost == _LOST_IMAGES:
            why = outcome.detail or outcome.reason
            raise OpenmmloError(
                f"Captioner {self.name!r} failed on {_LOST_IMAGES} images in a row ({why}). "
                "Mend the captioner, then run again with --retry captioner."
            )


def captioner_failure(error: Exception) -> SampleFailed:
    """What an exception of a captioner makes of its sample."""
    # What an exception says may hold local paths or addresses, and the reason is published.
    reason = f"{type(error).__name__} in the captioner; the log says more"
    return SampleFailed(Status.CAPTIONER, reason, " ".join(str(error).split())[:2000])


def _clean(text: object, captioner: str) -> str | SampleFailed:
    """A caption that parquet can hold: stripped, and without lone surrogates or NUL."""
    if not isinstance(text, str):
        raise OpenmmloError(f"Captioner {captioner!r} gave {type(text).__name__} for a caption; expected str.")
    caption = text.encode("utf-8", "replace").decode().replace("\0", "").strip()
    return caption or SampleFailed(Status.NO_CAPTION, "the captioner gave an empty caption")


_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any framework says that memory ran out (torch is not imported to ask).

    torch's CPU allocator and cuBLAS say so in the words of a RuntimeError.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MEMORY_WORDS)


def _free_memory() -> None:
    import gc
    import sys

    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
