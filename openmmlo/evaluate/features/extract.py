"""Images, captions and a model come in; a feature bank goes out, from the cache where it is there already.

One decode and one forward pass per image. Any number of processes share the work without talking to each other: under
``accelerate launch``, on several machines with one file system, or two commands started side by side. Each takes chunks
that nobody has, whoever comes last puts the bank together, and waiting is on files: no collective can time out.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from openmmlo.data.batches import BatchRequest, PixelBatch, decoded, default_workers, pixel_batches
from openmmlo.errors import ConfigError, DataError, ModelError, OpenmmloError, SampleFailed
from openmmlo.evaluate.features.bank import Extraction, FeatureBank
from openmmlo.evaluate.features.chunks import ChunkDamaged, Cut, Parts
from openmmlo.evaluate.features.forward import Forward, gathered
from openmmlo.evaluate.features.identity import ComputeType, Perturbation, Precision, bank_identity
from openmmlo.evaluate.features.store import BankStore, Distrusted, strange_features
from openmmlo.models.encoder import Encoder, Encoding, Reads, Transform
from openmmlo.models.launch import launched
from openmmlo.progress import Progress, Silent
from openmmlo.records import Sample

_PATIENCE = 0.5  # seconds between looks at what other processes have finished
_SAVING = 2  # chunks that may wait to be written


def extract(
    encoder: Encoder,
    set_name: str,
    samples: Sequence[Sample],
    *,
    cache: Path,
    mode: Reads = "image",
    captions: Sequence[str] | None = None,
    caption_digest: str = "",
    transform: Transform | None = None,
    precision: Precision = "fp32",
    dtype: ComputeType = "float32",
    batch_size: int = 64,
    workers: int | None = None,
    perturb: Perturbation | None = None,
    progress: Progress | None = None,
) -> FeatureBank:
    """The bank of one set of images, computed as far as it is not in the cache.

    Rows are in the order of the list; an image that cannot be read has none, and stands in ``failed`` with its reason.
    Whatever stops this, finished chunks are kept and the same call goes on from there. Batches are cut by position in
    the list, so on one machine and number of threads the bank has the same bits however many processes made it.

    Args:
        set_name: what the set is called; no part of the bank's identity.
        cache: folder of all banks.
        mode: what the model reads: the image, its caption alone, or both.
        captions: a text for each sample, as the model shall read it (masked or not).
        caption_digest: where they come from: digest of captions and mask.
        transform: in place of the model's own.
        precision: what is stored, features and logits alike.
        dtype: what the model computes in; the encoder is set to it.
        workers: loader processes; chosen from the cores where None.
        perturb: a step on the pixels before the rows are computed. The result is a bank of its own; the caller hangs
            it under ``perturbed`` of the plain one.

    Raises:
        ModelError: the model does not read this.
        DataError: no image could be read; captions and samples differ in number; features are NaN or infinite, or all
            of them are zero.
        DiskFull: finished chunks are kept.
        WorkerDied: a loader process ended; likewise.
    """
    started = time.perf_counter()
    progress = progress or Silent()
    _check(encoder, set_name, samples, mode, captions, batch_size, perturb)
    encoder.to(encoder.device, getattr(torch, dtype))
    used = transform or encoder.transform
    identity = bank_identity(
        encoder,
        samples,
        mode=mode,
        captions=captions if mode != "image" else None,
        caption_digest=caption_digest,
        transform=used,
        precision=precision,
        dtype=dtype,
        perturb=perturb,
    )
    made = {"torch": torch.__version__, "device": encoder.device.type, "batch_size": batch_size}
    store = BankStore(cache, identity, made)
    bank, distrusted = _cached(store, set_name, samples, progress)
    if bank is not None:
        return replace(bank, extraction=Extraction(time.perf_counter() - started, 0, None, from_cache=True))
    cut = Cut(len(samples), batch_size)
    if mode == "text":
        workers = 0
    elif workers is None:
        workers = default_workers(-(-len(samples) // batch_size))
    forward = Forward(encoder, mode, used, captions, perturb)
    work = _Work(forward, set_name, samples, store, store.parts(cut), precision, workers, progress)
    bank = work.run()
    seconds = time.perf_counter() - started
    rate = work.computed / work.seconds if work.computed else None
    device = str(encoder.device)
    return replace(bank, extraction=Extraction(seconds, work.computed, rate, False, workers, device, distrusted))


def _check(
    encoder: Encoder,
    set_name: str,
    samples: Sequence[Sample],
    mode: Reads,
    captions: Sequence[str] | None,
    batch_size: int,
    perturb: Perturbation | None,
) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; expected at least 1.")
    if not samples:
        raise DataError(f"{set_name} lists no image; expected at least one.")
    if mode not in encoder.reads:
        raise ModelError(
            f"Model {encoder.name!r} does not read mode {mode!r}; it reads {', '.join(sorted(encoder.reads))}."
        )
    if mode != "image" and (captions is None or len(captions) != len(samples)):
        found = "no captions" if captions is None else f"{len(captions):,} captions"
        raise DataError(f"{set_name}: {found} for {len(samples):,} samples; mode {mode!r} needs one for each.")
    if perturb is not None and mode == "text":
        raise ConfigError("A step on the pixels needs images; mode 'text' reads none.")


def _cached(
    store: BankStore, name: str, samples: Sequence[Sample], progress: Progress
) -> tuple[FeatureBank | None, str]:
    """The bank of the cache if it can be trusted, and why it cannot; one that cannot is removed."""
    try:
        bank = store.open(name)
        if bank is None or not _readable_now(bank, samples):
            return bank, ""
    except Distrusted:
        pass
    with store.changing():  # another process may be removing it, or have made it anew meanwhile
        try:
            bank = store.open(name)
            readable = bank and _readable_now(bank, samples)
            if bank is None or not readable:
                return bank, ""
            reason = f"image {readable!r}, which could not be read then, can be read now"
        except Distrusted as error:
            reason = str(error)
        store.discard()
    progress.say(f"Features of {name} in the cache cannot be used ({reason}); they are extracted anew.")
    return None, reason


def _readable_now(bank: FeatureBank, samples: Sequence[Sample]) -> str:
    """An image that failed and would not fail again (a disk came back, a permission was given); empty where none is."""
    ids = {sample_id for sample_id, _, _ in bank.failed}
    for sample in samples if ids else ():
        if sample.sample_id in ids:
            try:
                decoded(sample)
            except SampleFailed:
                continue
            return sample.sample_id
    return ""


class _Work:
    """This process's share of one extraction.

    ``computed`` rows went through the model here, in ``seconds``.
    """

    def __init__(
        self,
        forward: Forward,
        name: str,
        samples: Sequence[Sample],
        store: BankStore,
        parts: Parts,
        precision: Precision,
        workers: int,
        progress: Progress,
    ) -> None:
        self.forward = forward
        self.name = name
        self.samples = samples
        self.store = store
        self.parts = parts
        self.stored = torch.float16 if precision == "fp16" else torch.float32
        self.workers = workers
        self.progress = progress
        self.computed = 0
        self.seconds = 0.0
        self._shown: set[int] = set()
        self._open: list[tuple[PixelBatch, Encoding | None]] = []
        self._saving: list[Future[None]] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="bank")

    def run(self) -> FeatureBank:
        try:
            self._show_finished(start=True)
            while True:
                idle = not self._compute_what_is_free()
                with self.store.changing():
                    bank = self._assembled()
                if bank is not None:
                    return bank
                self._show_finished()
                if idle:  # others are at work on what is left, or died at it: look again
                    time.sleep(_PATIENCE)
        finally:
            self._writer.shutdown(wait=True)
            self.parts.release_all()
            self.progress.close()

    def _assembled(self) -> FeatureBank | None:
        """The bank, put together here or by another process; None while chunks are missing."""
        if not self.store.is_whole():
            if self.parts.missing():
                return None
            self.store.discard()  # a folder without meta.json is no bank
            try:
                self.store.assemble(self.name, self.samples, self.parts)
            except ChunkDamaged as error:
                self.progress.say(f"Features of {self.name}: {error}; it is computed again.")
                return None
        self.parts.remove()
        try:
            return self.store.open(self.name)
        except Distrusted as error:
            self.store.discard()
            self.progress.say(f"Features of {self.name} cannot be read back ({error}); they are extracted anew.")
            return None

    def _compute_what_is_free(self) -> bool:
        """Compute the chunks that are missing and not held by others; False where there were none."""
        started, before = time.perf_counter(), self.computed
        if not self._anything_free():
            return False
        with closing(self._batches(self._requests())) as batches:  # loader processes end with it, whatever happens
            for batch in batches:
                self._take(batch)
        for saved in self._saving:
            saved.result()
        self._saving.clear()
        if self.computed > before:
            self.seconds += time.perf_counter() - started
        return True

    def _anything_free(self) -> bool:
        """Whether there is a chunk to compute. Nothing stays claimed: loader processes would inherit the lock."""
        for number in self.parts.missing():
            if self.parts.claim(number):
                self.parts.release(number)
                return True
        return False

    def _requests(self) -> Iterator[BatchRequest]:
        """Batches of the chunks that nobody has, each chunk claimed when its first batch is asked for."""
        for number in self._free():
            if self.parts.has(number) or not self.parts.claim(number):
                continue
            if self.store.is_whole():  # put together meanwhile, and its chunks removed
                self.parts.release(number)
                return
            if self.parts.has(number):  # finished between the two looks
                self.parts.release(number)
                continue
            for positions in self.parts.cut.batches(number):
                yield BatchRequest(number, tuple((position, self.samples[position]) for position in positions))

    def _free(self) -> list[int]:
        """Chunks to try, this process's own first, so that where locks do not work little is done twice."""
        index, processes = launched()
        missing = self.parts.missing()
        return sorted(missing, key=lambda number: ((number - index) % processes != 0, number))

    def _batches(self, requests: Iterable[BatchRequest]) -> Generator[PixelBatch, None, None]:
        if self.forward.mode == "text":
            for request in requests:
                yield PixelBatch(request.number, [position for position, _ in request.samples], None, [])
            return
        pin = self.forward.encoder.device.type == "cuda"
        yield from pixel_batches(requests, self.forward.transform, self.workers, pin)

    def _take(self, batch: PixelBatch) -> None:
        encoding = None
        if batch.rows:
            try:
                encoding = self.forward(batch)
            except (torch.OutOfMemoryError, MemoryError) as error:
                raise OpenmmloError(
                    f"Out of memory at a batch of {len(batch.rows)} images of {self.name}. Take a smaller "
                    "--batch-size, or a device with more memory; everything finished so far is kept."
                ) from error
        self._open.append((batch, encoding))
        self.computed += len(batch.rows)
        self.progress.advance(len(batch.rows) + len(batch.failed), len(batch.failed))
        done = sum(len(one.rows) + len(one.failed) for one, _ in self._open)
        if done == len(self.parts.cut.positions(batch.number)):
            self._finish(batch.number)

    def _finish(self, number: int) -> None:
        """Bring a chunk to this side of the device and hand it to the writer."""
        batches = [batch for batch, _ in self._open]
        chunk = gathered(batches, [encoding for _, encoding in self._open if encoding is not None], self.stored)
        self._open.clear()
        infinite, _ = chunk.strange()
        rows = len(chunk.rows)
        if rows and infinite == rows:  # no need to spend hours before saying so
            raise strange_features(self.name, rows, infinite, 0)
        self._shown.add(number)
        self._saving.append(self._writer.submit(self.parts.save, number, chunk))
        while len(self._saving) > _SAVING or (self._saving and self._saving[0].done()):
            self._saving.pop(0).result()

    def _show_finished(self, start: bool = False) -> None:
        """Count the chunks that earlier runs and other processes have finished."""
        missing = set(self.parts.missing())
        found = [number for number in range(self.parts.cut.chunks) if number not in missing | self._shown]
        rows = sum(len(self.parts.cut.positions(number)) for number in found)
        self._shown.update(found)
        if start:
            self.progress.start(len(self.samples), rows)
        elif rows:
            self.progress.advance(rows, 0)
