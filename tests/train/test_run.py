"""Whole runs of thp-mini on a few pictures: what they leave, how they go on, and what they refuse beforehand."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pictured_sets import Pictured, write_pictured
from stubs import jpeg
from training import free_port, joins, processes, unclocked

import openmmlo.train.loop as loop
from openmmlo.cli import main
from openmmlo.errors import ConfigError, DataError, ModelError, OpenmmloError, TrainingRefused, UnknownName
from openmmlo.models.thp.model import ThpModel
from openmmlo.models.thp.tokenizer import open_tokenizer, train_tokenizer
from openmmlo.models.thp.training import read_training
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.train.checkpoint import save_checkpoint
from openmmlo.train.dry_run import dry_run
from openmmlo.train.finetune import FinetuneTask, finetune
from openmmlo.train.logs import SilentTraining, read_log
from openmmlo.train.outcome import Outcome, file_digest
from openmmlo.train.pretrain import PretrainTask, pretrain
from openmmlo.train.recipe import FinetuneRecipe, PretrainRecipe
from openmmlo.train.run import Tokeniser, halved, prepare
from openmmlo.train.training_data import read_training_data

NAMES = ("ant", "bee", "cat")
INFO = DatasetInfo(
    "pictures", "1", "cc0-1.0", tuple(ClassInfo(name[0], name, (f"{name}s",)) for name in NAMES), (8, 4, 3)
)
COUNTS = {"ant": 8, "bee": 4, "cat": 3}


def rows(split: str, counts: dict[str, int], words: str = "a small picture of the {} on grey") -> Iterator[Pictured]:
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            seed = 100 * label + number
            caption = words.format(name) + f" number {number}"
            yield Pictured(f"{split}/{name}-{number}", label, name[0], caption, jpeg(seed, 70, 60), (name,))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": rows("train", COUNTS), "val": rows("val", {"ant": 2, "bee": 2, "cat": 1})}
    return write_pictured(tmp_path_factory.mktemp("data") / "pictures", INFO, splits).folder


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("OPENMMLO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


COMMON: dict[str, Any] = {
    "validation_split": "val", "text_length": 24, "batch_size": 6, "warmup_steps": 1, "lr": 1e-3, "workers": 0,
    "log_every": 1, "validate_every": 2, "save_every": 1, "precision": "fp32", "augmentation": "crop",
    "tokenizer": "data", "vocabulary": 120, "model": "thp-mini",
}  # fmt: skip


def before(data: Path, **values: Any) -> PretrainRecipe:
    return PretrainRecipe(**COMMON | {"data": data, "steps": 3, "queue_size": 12} | values)


def after(data: Path, weights: Path, **values: Any) -> FinetuneRecipe:
    chosen = {**COMMON, "data": data, "steps": 3, "weights": str(weights), "reads": "both", "caption_dropout": 0.5}
    return FinetuneRecipe(**chosen | {"model": None, "train_image_encoder": True} | values)


class Told(SilentTraining):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture(scope="module")
def pretrained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("pretrained")
    return pretrain(before(data), root / "mini", command="openmmlo pretrain mini", device="cpu", cache=root / "cache")


def test_a_pretrained_folder_holds_all_that_belongs_to_it(pretrained: Outcome, data: Path) -> None:
    folder = pretrained.folder
    names = {path.name for path in folder.iterdir()}
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "training.json",
        "log.csv",
        "curve.png",
        "README.md",
    } <= names
    assert ".openmmlo" not in names
    record = read_training(folder)
    assert record is not None
    assert record["recipe"]["data"] == "pictures"
    assert record["command"] == "openmmlo pretrain mini"
    assert record["digests"]["weights"] == file_digest(folder / "model.safetensors")
    assert record["digests"]["recipe"] == before(data).digest
    assert record["log"]["loss"] == pytest.approx(sum(record["log"][part] for part in ("itc", "itm", "lm")), rel=1e-4)
    assert (record["log"]["steps"], record["log"]["trained_on"], record["log"]["validated_on"]) == (3, 15, 5)
    assert record["data"]["captioner"] == "written"
    assert {"torch", "transformers", "openmmlo"} <= set(record["versions"])
    assert str(data.parent) not in (folder / "training.json").read_text()
    assert [row["step"] for row in read_log(folder / "log.csv")] == [1, 2, 3]
    model = ThpModel.from_pretrained(folder)
    assert model.config.recipe_digest == before(data).digest
    assert model.config.text_length == 24
    assert model.config.vocab_size == len(open_tokenizer(str(folder)))
    assert ((folder / "model.safetensors").stat().st_mode & 0o777) == ((folder / "config.json").stat().st_mode & 0o777)


@pytest.mark.slow
def test_weights_may_be_stored_in_half_precision(pretrained: Outcome, data: Path, tmp_path: Path) -> None:
    outcome = pretrain(before(data, stored="fp16"), tmp_path / "half", device="cpu")
    sizes = [(item.folder / "model.safetensors").stat().st_size for item in (outcome, pretrained)]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.02)
    half, full = (ThpModel.from_pretrained(item.folder).state_dict() for item in (outcome, pretrained))
    assert half.keys() == full.keys()
    assert {value.dtype for value in half.values()} <= {torch.float32, torch.int64}
    for name, value in full.items():
        rounded = value.half().float() if value.is_floating_point() else value
        assert torch.equal(half[name], rounded), name


def test_what_half_precision_cannot_hold_is_refused() -> None:
    shared = torch.tensor([1.0, 2.0])
    found = halved({"one": shared, "other": shared, "count": torch.tensor(3)})
    assert found["one"] is found["other"]
    assert found["count"].dtype == torch.int64
    with pytest.raises(TrainingRefused, match="large holds numbers beyond 65,504"):
        halved({"large": torch.tensor([7e4])})


def test_the_same_command_again_does_nothing(pretrained: Outcome, data: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in pretrained.folder.iterdir()}
    again = pretrain(before(data, workers=1, log_every=7), pretrained.folder, device="cpu")
    assert again.finished_before
    assert again.training["digests"] == pretrained.training["digests"]
    assert {path: path.stat().st_mtime_ns for path in pretrained.folder.iterdir()} == stamps


def test_another_recipe_or_other_data_is_refused_with_what_differs(
    pretrained: Outcome, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingRefused, match=r"a finished run that differs in:\n  recipe\.lr: 0\.001 before, 0\.002 now"
    ):
        pretrain(before(data, lr=2e-3), pretrained.folder, device="cpu")
    other = write_pictured(
        tmp_path / "pictures", INFO, {"train": rows("train", COUNTS), "val": rows("val", {"ant": 4})}
    )
    with pytest.raises(TrainingRefused, match="  data: '"):
        pretrain(before(other.folder), pretrained.folder, device="cpu")


def test_a_folder_with_other_files_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(TrainingRefused, match=r"holds other files \(photo\.jpg\)"):
        pretrain(before(data), tmp_path, device="cpu")


@pytest.mark.slow
def test_a_run_that_stopped_goes_on_to_the_same_weights(
    pretrained: Outcome, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saving(folder: Path, content: Any) -> None:
        save_checkpoint(folder, content)
        if content["step"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", saving)
        with pytest.raises(KeyboardInterrupt):
            pretrain(before(data), tmp_path / "mini", device="cpu")
    assert (tmp_path / "mini" / ".openmmlo" / "checkpoint.pt").is_file()
    with pytest.raises(
        TrainingRefused, match=r"a run that was begun that differs in:\n  recipe\.seed: 0 before, 1 now"
    ):
        pretrain(before(data, seed=1), tmp_path / "mini", device="cpu")
    told = Told()
    outcome = pretrain(before(data), tmp_path / "mini", device="cpu", progress=told)
    assert any("Going on from step 2 of 3" in message for message in told.messages)
    assert outcome.training["digests"] == pretrained.training["digests"]
    logs = [unclocked(read_log(folder / "log.csv")) for folder in (outcome.folder, pretrained.folder)]
    assert logs[0] == logs[1]


def pretraining(rank: int, port: int, recipe: PretrainRecipe, out: Path, cache: Path, answers: Any) -> None:
    joins(rank, 2, port)
    told = Told()
    outcome = pretrain(recipe, out, device="cpu", progress=told, cache=cache)
    answers.put((rank, outcome.is_main, len(told.messages), bool(outcome.training)))


@pytest.mark.slow
def test_two_processes_make_one_checkpoint(data: Path, tmp_path: Path) -> None:
    """Dropout off, it is the one that a single process makes; the images are packed and the folder is written once."""
    recipe = before(data, dropout=0.0, steps=2)
    alone = pretrain(recipe, tmp_path / "alone", device="cpu")
    context, port = processes(), free_port()
    answers = context.Queue()
    arguments = (port, recipe, tmp_path / "both", tmp_path / "cache", answers)
    workers = [context.Process(target=pretraining, args=(rank, *arguments)) for rank in (0, 1)]
    for worker in workers:
        worker.start()
    found = sorted(answers.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    assert [(is_main, knows) for _, is_main, _, knows in found] == [(True, True), (False, False)]
    assert found[0][2] > 0 == found[1][2]
    assert len(list((tmp_path / "cache").glob("*/images.bin"))) == 2  # train and val
    assert not (tmp_path / "both" / ".openmmlo").exists()
    mine, theirs = (read_log(tmp_path / name / "log.csv") for name in ("alone", "both"))
    for row, other in zip(unclocked(mine), unclocked(theirs), strict=True):
        assert other == pytest.approx(row, rel=2e-3)
    states = [ThpModel.from_pretrained(tmp_path / name).state_dict() for name in ("alone", "both")]
    apart = torch.cat([(states[1][name] - value).flatten().abs().float() for name, value in states[0].items()])
    assert float(apart.mean()) < 1e-2 * recipe.lr  # Adam's first steps are of size lr, in either direction
    assert read_training(tmp_path / "both")["log"]["processes"] == 2  # type: ignore[index]
    assert alone.training["digests"]["data"] == read_training(tmp_path / "both")["digests"]["data"]  # type: ignore[index]


@pytest.fixture(scope="module")
def finetuned(pretrained: Outcome, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("finetuned")
    return finetune(after(data, pretrained.folder), root / "mini", device="cpu", cache=root / "cache")


def test_a_classifier_knows_its_classes_and_where_it_started(finetuned: Outcome, pretrained: Outcome) -> None:
    model = ThpModel.from_pretrained(finetuned.folder).eval()
    assert model.config.class_names == [["a", "ant", "ants"], ["b", "bee", "bees"], ["c", "cat", "cats"]]
    assert finetuned.training["digests"]["start"] != finetuned.training["digests"]["weights"]
    assert finetuned.training["recipe"]["weights"] == "mini"
    features, logits = model.classify(torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 3)
    assert torch.isfinite(features).all()
    start = ThpModel.from_pretrained(pretrained.folder).state_dict()
    moved = {
        name for name, value in model.state_dict().items() if name in start and not torch.equal(value, start[name])
    }
    assert any(name.startswith("image_encoder") for name in moved)
    assert "text_projection.weight" not in moved
    assert 0 <= finetuned.training["log"]["validation_top1"] <= 1


@pytest.mark.slow
def test_the_evaluation_opens_it(finetuned: Outcome) -> None:
    from openmmlo.models import open_model

    encoder = open_model(str(finetuned.folder), device="cpu")
    assert encoder.classifier is not None
    assert encoder.identity()["recipe"] == finetuned.training["digests"]["recipe"]


@pytest.mark.slow
def test_classes_drawn_evenly_experts_and_a_frozen_encoder(pretrained: Outcome, data: Path, tmp_path: Path) -> None:
    recipe = after(
        data, pretrained.folder, sampler="class-aware", experts=2, router_top_k=1, train_image_encoder=False,
        distill=True, alpha=0.4, steps=2, gradient_checkpointing=True,
    )  # fmt: skip
    outcome = finetune(recipe, tmp_path / "mini", device="cpu")
    start = ThpModel.from_pretrained(pretrained.folder).state_dict()
    state = ThpModel.from_pretrained(outcome.folder).state_dict()
    frozen = [name for name in start if name.startswith("image_encoder")]
    assert frozen
    assert all(torch.equal(state[name], start[name]) for name in frozen)
    assert "balance" in outcome.training["log"]


def refused(recipe: Any, out: Path) -> str:
    task = PretrainTask(recipe) if isinstance(recipe, PretrainRecipe) else FinetuneTask(recipe)
    found = dry_run(task)
    with pytest.raises(OpenmmloError) as caught:
        (pretrain if isinstance(recipe, PretrainRecipe) else finetune)(recipe, out, device="cpu")
    assert found.refused
    message = str(caught.value)
    said = " ".join(f"{item.what}. {item.remedy}" for item in found.findings if item.level == "error")
    assert message.split(".")[0] in said
    assert not (out / "model.safetensors").exists()
    return message


def test_bad_input_is_refused_by_a_run_and_told_by_its_dry_run(pretrained: Outcome, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "No split of" in refused(before(data, validation_split="vall"), out)
    assert "Did you mean 'train'" in refused(before(data, split="trains"), out)
    assert "is no folder" in refused(before(tmp_path / "nowhere"), out)
    (tmp_path / "begun" / ".openmmlo").mkdir(parents=True)
    assert "a build that is not finished" in refused(before(tmp_path / "begun"), out)
    assert "batch_size is 60 and there are 15 training samples" in refused(
        before(data, batch_size=60, queue_size=60), out
    )
    assert "warmup_steps is 4 of 4 steps" in refused(before(data, steps=None, epochs=2, warmup_steps=4), out)
    assert "No architecture named 'thp-mimi'. Did you mean 'thp-mini'" in refused(before(data, model="thp-mimi"), out)
    assert "text_length is 30" in refused(after(data, pretrained.folder, text_length=30), out)
    assert "There is no folder" in refused(after(data, tmp_path / "no checkpoint"), out)
    shutil.copytree(pretrained.folder, tmp_path / "bert")
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    assert "a checkpoint of model_type 'bert'; expected" in refused(after(data, tmp_path / "bert"), out)
    assert "Which data?" in refused(PretrainRecipe(**COMMON | {"queue_size": 12}), out)


def test_a_batch_that_does_not_part_over_the_processes_is_refused_before_anything_is_packed(data: Path) -> None:
    task = PretrainTask(before(data))
    found = read_training_data(task.recipe)
    tokenizer = task.tokenizer(found.train.texts)
    tokeniser = Tokeniser(tokenizer, int(tokenizer.pad_token_id))
    assert prepare(task, found, tokeniser, 3).order.batch_size == 6
    with pytest.raises(ConfigError, match="batch_size 6 does not part evenly over 4 processes"):
        prepare(task, found, tokeniser, 4)


def test_data_that_do_not_fit_are_refused(pretrained: Outcome, finetuned: Outcome, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bare = write_pictured(tmp_path / "bare", INFO, {"train": rows("train", COUNTS)}, with_images=False).folder
    assert "was published without images" in refused(before(bare, validation_split=None), out)
    two = dataclasses.replace(INFO, classes=INFO.classes[:2], train_counts=(8, 4))
    fewer = write_pictured(tmp_path / "two", two, {"train": rows("train", {"ant": 8, "bee": 4})}).folder
    message = refused(after(fewer, finetuned.folder, validation_split=None), out)
    assert "classifies 3 classes; the data have 2" in message
    strange = [dataclasses.replace(row, label=-1) for row in rows("train", {"ant": 7})]
    odd = write_pictured(tmp_path / "odd", INFO, {"train": strange}).folder
    message = refused(after(odd, pretrained.folder, validation_split=None), out)
    assert "7 of 7 samples of split train are out of distribution (label -1)" in message
    beyond = write_pictured(tmp_path / "beyond", two, {"train": rows("train", COUNTS)}).folder
    assert "has label 2; its class table has 2 classes" in refused(before(beyond, validation_split=None), out)


def test_a_checkpoint_of_another_shape_is_refused(pretrained: Outcome, data: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(pretrained.folder, broken)
    state = load_file(broken / "model.safetensors")
    state["match_head.weight"] = torch.zeros(2, 7)
    save_file(state, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="of another shape"):
        finetune(after(data, broken), tmp_path / "out", device="cpu")


def test_a_tokenizer_of_another_model_is_refused(pretrained: Outcome, data: Path, tmp_path: Path) -> None:
    import shutil

    mixed = tmp_path / "mixed"
    shutil.copytree(pretrained.folder, mixed)
    train_tokenizer([f"words that no caption has {number}" for number in range(9)], 90).save_pretrained(mixed)
    assert "They are of different models" in refused(after(data, mixed), tmp_path / "out")


def test_what_is_odd_is_counted_and_said(pretrained: Outcome, tmp_path: Path) -> None:
    uneven = {"ant": 8, "bee": 0, "cat": 5}
    long = [*rows("train", uneven), *rows("long", {"ant": 2}, "word " * 30 + "{}")]
    data = write_pictured(tmp_path / "pictures", INFO, {"train": long}).folder
    found = dry_run(PretrainTask(before(data, validation_split=None, validation_share=0.4)))
    said = [(item.level, item.what) for item in found.findings]
    assert ("warning", "1 of 3 classes have no training image: bee") in said
    assert any(
        what.endswith("captions of split train are longer than 24 tokens (the longest has 35) and lose their end")
        or "are longer than 24 tokens" in what
        for _, what in said
    )
    assert any("are held out" in what for _, what in said)
    assert any("form no whole batch of 6" in what for _, what in said)
    assert not found.refused
    nothing = dry_run(PretrainTask(before(data, validation_split=None, validation_share=0.01)))
    assert any("rounds to no sample" in item.what for item in nothing.findings)


def test_a_dry_run_counts_parameters_memory_and_steps(pretrained: Outcome, data: Path, tmp_path: Path) -> None:
    found = dry_run(PretrainTask(before(data, steps=None, epochs=4, target="Table 1")))
    assert (found.steps, found.epochs, found.steps_an_epoch, found.target) == (8, 4.0, 2, "Table 1")
    assert found.samples == {"training": 15, "validation": 5}
    model = ThpModel.from_pretrained(pretrained.folder)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert sum(total for total, _ in found.parameters.values()) == count
    assert found.memory["gradients"] == 4 * sum(trained for _, trained in found.parameters.values())
    assert found.memory["optimiser"] == 2 * found.memory["gradients"]
    assert found.memory["weights"] > 1.5 * 4 * count  # the momentum copies are weights too
    assert found.memory["total"] == sum(size for name, size in found.memory.items() if name != "total")
    half = dry_run(PretrainTask(before(data, steps=8, accumulation=2)))
    assert 0.4 < half.memory["activations"] / found.memory["activations"] < 0.7
    frozen = dry_run(FinetuneTask(after(data, pretrained.folder, train_image_encoder=False)))
    assert frozen.parameters["image_encoder"][1] == 0 < frozen.parameters["head"][1]
    assert not list(tmp_path.iterdir())


def test_the_commands(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "own.yaml"
    values = before(data, steps=1, warmup_steps=0).to_json()
    recipe.write_text(json.dumps({name: value for name, value in values.items() if name != "data"}))
    arguments = ["pretrain", str(recipe), "--data", str(data), "--device", "cpu", "--quiet"]
    assert main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Nothing was trained." in said
    assert "Parameters" in said
    assert main([*arguments, "--dry-run", "--json", "--set", "split=nothing"]) == 2
    assert json.loads(capsys.readouterr().out)["findings"][0]["level"] == "error"
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out), "--set", "lr=0.002", "--seed", "5", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["training"]
    assert (record["recipe"]["lr"], record["recipe"]["seed"]) == (0.002, 5)
    assert record["command"] == "openmmlo pretrain own.yaml --data pictures --seed 5 --set lr=0.002"
    assert main([*arguments, "--out", str(out), "--set", "lr=0.002", "--seed", "5"]) == 0
    said = capsys.readouterr().out
    assert "is finished already" in said
    assert said.endswith(f"openmmlo eval --model {out} --benchmark {data}\n")
    assert main([*arguments, "--set", "learning_rate=1"]) == 2
    assert "takes no 'learning_rate'" in capsys.readouterr().err
    assert main([*arguments, "--seed", "1", "--set", "seed=2"]) == 2
    assert "give one" in capsys.readouterr().err
    assert main(["finetune", "thp-mimi"]) == 2
    assert "No finetune recipe named 'thp-mimi'. Did you mean 'thp-mini'" in capsys.readouterr().err


def test_errors_are_of_their_kinds(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        pretrain(before(data, split="nothing"), tmp_path / "out", device="cpu")
    with pytest.raises(DataError):
        pretrain(before(tmp_path / "nowhere"), tmp_path / "out", device="cpu")
    with pytest.raises(ConfigError):
        pretrain(before(data, batch_size=60, queue_size=60), tmp_path / "out", device="cpu")
