"""One training run from recipe to checkpoint: data, tokenizer, objective, the loop, and what is left in the folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from openmmlo.errors import DataError, TrainingRefused
from openmmlo.models.thp.training import TRAINING
from openmmlo.records import Finding
from openmmlo.train.augmentation import View
from openmmlo.train.checkpoint import NAME, differences
from openmmlo.train.curve import CURVE, draw_curve
from openmmlo.train.feed import PairFeed
from openmmlo.train.logs import LOG, SilentTraining, TrainingProgress, read_log
from openmmlo.train.loop import LoopSettings, Trained, train
from openmmlo.train.objective import Objective
from openmmlo.train.order import Drawn, Order
from openmmlo.train.outcome import Outcome, file_digest, files_digest, training_record, write_training
from openmmlo.train.packed import cache_root, pack
from openmmlo.train.pairs import TokenTable, tokenised
from openmmlo.train.processes import seed_everything, start_processes
from openmmlo.train.recipe import Recipe
from openmmlo.train.training_data import TrainingData, ragged, read_training_data, too_long
from openmmlo.writing import space_needed, sync_folder, write_aside

if TYPE_CHECKING:
    from accelerate import Accelerator

    from openmmlo.train.afterwards import Afterwards

STATE = ".openmmlo"
"""Folder within the run's, with what it needs to go on; it goes when the run is finished."""

_PATIENCE = 5.0  # seconds: the loader processes of a killed run need a moment to notice


@dataclass(frozen=True)
class Tokeniser:
    """A tokenizer as training uses it.

    Attributes:
        tokenizer: with ``save_pretrained``.
        pad: token that fills up.
    """

    tokenizer: Any
    pad: int

    def table(self, texts: Sequence[str], length: int) -> TokenTable:
        """The tokens of all texts, at most ``length`` each."""
        from openmmlo.models.thp.tokenizer import lengths, tokenize

        return tokenised(
            texts, lambda some, most: tokenize(self.tokenizer, some, most),
            lambda some: lengths(self.tokenizer, some), length, self.pad,
        )  # fmt: skip


class Task(Protocol):
    """What pre-training and fine-tuning differ in. It opens nothing before it is asked to."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def kind(self) -> str:
        """``pretrain`` or ``finetune``."""
        ...

    def start_digest(self) -> str | None:
        """SHA-256 of the weights a run starts from, where they are at hand; None where it starts at random."""
        ...

    def check(self, data: TrainingData) -> list[Finding]:
        """What does not fit, or is odd, before any model is made. Raises ModelError, ConfigError."""
        ...

    def tokenizer(self, texts: Sequence[str]) -> Any:
        """The tokenizer to begin with; ``texts`` are the training captions."""
        ...

    def drawn_by(self, data: TrainingData) -> Drawn | None:
        """Labels and how their classes are drawn; None takes every sample once an epoch."""
        ...

    @property
    def views(self) -> int:
        """Of each training image, in a batch."""
        ...

    @property
    def method(self) -> dict[str, str]:
        """What is trained by which loss, and what is drawn, in words for people."""
        ...

    def objective(self, tokenizer: Any, data: TrainingData, weights: bool = True) -> Objective:
        """The objective around the model; without ``weights`` at random, to be looked at."""
        ...

    def afterwards(
        self, objective: Objective, feed: PairFeed, data: TrainingData, accelerator: Accelerator
    ) -> Afterwards | None:
        """What follows the last step, in one process, before the model is saved."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that is known before a model is made.

    Attributes:
        order: of the samples.
        settings: of the loop.
        tables: tokens to train and to validate on.
        findings: warnings, and errors that stand in the way.
    """

    order: Order
    settings: LoopSettings
    tables: tuple[TokenTable, TokenTable | None]
    findings: tuple[Finding, ...]


def prepare(task: Task, data: TrainingData, tokeniser: Tokeniser, processes: int = 1) -> Prepared:
    """Tokens, order and length of a run. Raises ConfigError for a batch, a warm-up or a length that cannot be."""
    recipe = task.recipe
    order = Order(
        len(data.train), recipe.batch_size, recipe.accumulation, recipe.seed, *(task.drawn_by(data) or (None,))
    )
    order.check_processes(processes)
    settings = LoopSettings.of(recipe, order.steps_an_epoch)
    training = tokeniser.table(data.train.texts, recipe.text_length)
    found = [too_long(training, data.train, recipe.text_length), ragged(len(data.train), recipe.batch_size)]
    validation = None
    if data.validation is not None:
        validation = tokeniser.table(data.validation.texts, recipe.text_length)
        found.append(too_long(validation, data.validation, recipe.text_length))
    findings = [*data.findings, *task.check(data), *(item for item in found if item is not None)]
    return Prepared(order, settings, (training, validation), tuple(findings))


def run(
    task: Task,
    out: Path,
    *,
    command: str = "",
    device: str = "auto",
    progress: TrainingProgress | None = None,
    cache: Path | None = None,
) -> Outcome:
    """Train to the end, from where an earlier start of the same run was stopped.

    Args:
        out: the checkpoint's folder; the same for every process.
        command: what was typed, for ``training.json``.
        device: auto, cpu, mps, cuda or cuda:N.
        cache: where images are packed; ``OPENMMLO_CACHE``, else the user's cache folder, where None.

    Raises:
        ConfigError, DataError, ModelError, UnknownName: what the recipe asks for cannot be, or is not at hand.
        TrainingRefused: ``out`` holds another run, or something else; or another process trains there.
        TrainingStopped: a loss or gradient that is no number.
        DiskFull: there is no space for the pack or the checkpoint.
    """
    recipe = task.recipe
    accelerator = start_processes(device, recipe.precision)
    main = accelerator.is_main_process
    progress = (progress or SilentTraining()) if main else SilentTraining()
    out = out.expanduser()
    data = read_training_data(recipe)
    identity = {
        "kind": task.kind, "recipe": recipe.decisive, "data": data.dataset.digest, "start": task.start_digest(),
    }  # fmt: skip
    with _folder(out, identity, accelerator) as finished:
        if finished is not None:
            return Outcome(out, finished, finished_before=True, is_main=main)
        state = out / STATE
        tokenizer = _kept_tokenizer(task, data, state, accelerator)
        tokeniser = Tokeniser(tokenizer, int(tokenizer.pad_token_id))
        prepared = prepare(task, data, tokeniser, accelerator.num_processes)
        _say_or_refuse(prepared.findings, progress)
        root = cache_root(cache)
        images = pack(data.dataset, data.train.split, root, progress)
        held_out = None
        if data.validation is not None and prepared.tables[1] is not None:
            its = images if data.validation.split == data.train.split else None
            its = its or pack(data.dataset, data.validation.split, root, progress)
            held_out = (data.validation, prepared.tables[1], its)
        seed_everything(recipe.seed)
        objective = task.objective(tokenizer, data)
        config = objective.model.config
        view = View(config.image_size, recipe.augmentation, config.interpolation, recipe.seed)
        feed = PairFeed(
            prepared.order, data.train, prepared.tables[0], images, view, config.image_mean, config.image_std,
            recipe.workers, held_out, task.views,
        )  # fmt: skip
        trained = train(objective, feed, prepared.settings, out, accelerator, progress, state)
        record: dict[str, Any] = {}
        if main:
            after = task.afterwards(objective, feed, data, accelerator)
            record = _save(task, objective, tokenizer, data, trained, after, out, identity, command, accelerator)
        accelerator.wait_for_everyone()
        return Outcome(out, record, prepared.findings, is_main=main)


def refuse(findings: Sequence[Finding]) -> None:
    """Raises DataError with every finding that stands in the way."""
    errors = [f"{item.what}. {item.remedy}".strip() for item in findings if item.level == "error"]
    if errors:
        raise DataError("\n".join(errors))


def _say_or_refuse(findings: Sequence[Finding], progress: TrainingProgress) -> None:
    for item in findings:
        if item.level == "warning":
            progress.say(f"Warning: {item.what}. {item.remedy}".rstrip())
        elif item.level == "ok":
            progress.say(f"{item.what}.")
    refuse(findings)


@contextmanager
def _folder(out: Path, identity: Mapping[str, Any], accelerator: Accelerator) -> Iterator[dict[str, Any] | None]:
    """Hold the run's folder; what ``training.json`` says where the run is finished already.

    The main process holds the lock and writes; the others wait until it has looked.
    """
    lock = FileLock(out / STATE / "lock", thread_local=False)
    try:
        if accelerator.is_main_process:
            finished = finished_run(out, identity)
            if finished is None:
                (out / STATE).mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=_PATIENCE)
                except Timeout:
                    raise TrainingRefused(
                        f"Another process is training in {out}. Wait for it, or give another --out."
                    ) from None
                if not (out / STATE / NAME).is_file():  # of a start that never came to train
                    shutil.rmtree(out / STATE / "tokenizer", ignore_errors=True)
                write_aside(out / STATE / "run.json", json.dumps(identity, indent=2, ensure_ascii=False) + "\n")
        accelerator.wait_for_everyone()
        yield finished_run(out, identity)
    finally:
        if lock.is_locked:
            lock.release()
        if accelerator.is_main_process and (out / TRAINING).is_file():
            shutil.rmtree(out / STATE, ignore_errors=True)


def finished_run(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """What ``training.json`` of a folder holds where this very run is finished; None where it is new or to go on.

    A start that ended before its first checkpoint binds nobody: another recipe may begin there.

    Raises:
        TrainingRefused: the folder holds another run, or files that no run wrote.
    """
    path, begun, checkpoint = out / TRAINING, out / STATE / "run.json", out / STATE / NAME
    if path.is_file():
        record = _read(path)
        _compare(record.get("identity") or {}, identity, out, "a finished run")
        return record
    if begun.is_file():
        if checkpoint.is_file():
            _compare(_read(begun), identity, out, "a run that was begun")
        return None
    others = sorted(item.name for item in out.iterdir() if item.name != STATE) if out.is_dir() else []
    if others:
        some = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
        raise TrainingRefused(
            f"{out} holds other files ({some}) and no training run. Give --out a folder that is new or empty."
        )
    return None


def _compare(before: Mapping[str, Any], now: Mapping[str, Any], out: Path, what: str) -> None:
    lines = differences(before, json.loads(json.dumps(now)))
    if lines:
        raise TrainingRefused(
            f"{out} holds {what} that differs in:\n  "
            + "\n  ".join(lines)
            + "\nRuns are not mixed: give another --out, delete that folder, or go on with what it began with."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingRefused(f"{path} cannot be read ({type(error).__name__}). Give another --out.") from error
    if not isinstance(value, dict):
        raise TrainingRefused(f"{path} does not hold what openmmlo writes. Give another --out.")
    return value


def _kept_tokenizer(task: Task, data: TrainingData, state: Path, accelerator: Accelerator) -> Any:
    """The run's tokenizer: made once by the main process, and read back by all, however often a run is started."""
    from openmmlo.models.thp.tokenizer import open_tokenizer

    folder = state / "tokenizer"
    if accelerator.is_main_process and not folder.is_dir():
        aside = state / "tokenizer.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        task.tokenizer(data.train.texts).save_pretrained(aside)
        aside.replace(folder)
        sync_folder(state)
    accelerator.wait_for_everyone()
    if not folder.is_dir():
        raise TrainingRefused(f"This process does not see {folder}. --out must be a folder that all machines share.")
    return open_tokenizer(str(folder))


def _save(
    task: Task, objective: Objective, tokenizer: Any, data: TrainingData, trained: Trained, after: Afterwards | None,
    out: Path, identity: Mapping[str, Any], command: str, accelerator: Accelerator,
) -> dict[str, Any]:  # fmt: skip
    """Write the checkpoint, the picture and the card; ``training.json`` last, which says that all is there."""
    from openmmlo.models.loading import quiet
    from openmmlo.models.thp.card import render_card

    recipe, model = task.recipe, objective.model
    model.config.recipe_digest = recipe.digest
    with quiet(), space_needed(out):
        model.save_pretrained(out, state_dict=halved(model.state_dict()) if recipe.stored == "fp16" else None)
        tokenizer.save_pretrained(out)
    for path in out.glob("*.safetensors"):  # which safetensors keeps from everyone else
        path.chmod((out / "config.json").stat().st_mode)
    draw_curve(read_log(out / LOG), out / CURVE, out.resolve().name)
    validated = 0 if data.validation is None else len(data.validation)
    log = {
        "trained_on": len(data.train), "validated_on": validated, **trained.last,
        **(after.measured if after is not None else {}), "steps": trained.steps,
        "seconds": round(trained.seconds, 1), "waiting": round(trained.waiting, 4), "skipped_steps": trained.skipped,
        "device": device_name(accelerator), "processes": accelerator.num_processes,
    }  # fmt: skip
    log.pop("step", None)
    digests = {
        "recipe": recipe.digest,
        "data": data.dataset.digest,
        "weights": file_digest(out / "model.safetensors"),
        "tokenizer": files_digest(sorted(out.glob("tokenizer*.json"))),
    }
    start = identity["start"]
    if start is not None:
        digests["start"] = start
    record = training_record(recipe, command, digests, data.dataset, log)
    if after is not None:
        record["posthoc"] = dict(after.posthoc)
    name = out.resolve().name
    write_aside(out / "README.md", render_card(name, model.config.to_dict(), record))
    write_training(out, record | {"identity": dict(identity)})
    return record


def halved(state: Mapping[str, Any]) -> dict[str, Any]:
    """Every float32 tensor in fp16; what was shared stays shared.

    Raises:
        TrainingRefused: a weight is beyond what fp16 holds.
    """
    import torch

    made: dict[int, Any] = {}
    found: dict[str, Any] = {}
    for name, tensor in state.items():
        if tensor.dtype != torch.float32:
            found[name] = tensor
            continue
        half = made.setdefault(tensor.data_ptr(), tensor.to(torch.float16))
        if not bool(torch.isfinite(half).all()):
            raise TrainingRefused(
                f"{name} holds numbers beyond 65,504, which fp16 cannot store; run again with --set stored=fp32."
            )
        found[name] = half
    return found


def device_name(accelerator: Accelerator) -> str:
    """What computed: the accelerator's name, else cpu."""
    import torch

    device = accelerator.device
    return str(torch.cuda.get_device_name(device) if device.type == "cuda" else device.type)
