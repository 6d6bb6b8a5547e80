"""One job for real: trained, evaluated on images and captions, recorded, and not done twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiment_jobs import small_data

from openmmlo.data.dataset import open_dataset
from openmmlo.evaluate.predictions import digest, read_predictions
from openmmlo.evaluate.result import read_result
from openmmlo.experiments.jobs import DETECTORS, Setting, jobs_of
from openmmlo.experiments.numbers import read_numbers
from openmmlo.experiments.plan import chosen
from openmmlo.experiments.work import work
from openmmlo.models.thp.training import read_training
from openmmlo.train.outcome import file_digest, files_digest

CHANGES = {"epochs": 1, "batch_size": 20, "queue_size": 20, "warmup_steps": 1, "vocabulary": 120}


@pytest.mark.slow
def test_jobs_are_trained_evaluated_and_recorded(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = small_data(tmp_path / "pictures")
    setting = Setting(tmp_path / "out", data, open_dataset(data).digest, benchmark=str(data), changes=CHANGES)
    jobs = jobs_of(chosen(["tiny-thp-thp", "tiny-ncm"]), (1,), setting)
    assert [job.run.recipe for job in jobs] == ["tiny-thp", "tiny-ce", "tiny-ncm", "tiny-thp-thp"]
    for job in jobs:
        assert job.done() is None
        work(job)
        record = job.done()
        assert record is not None
        assert record["digests"]["weights"] == file_digest(job.checkpoint / "model.safetensors")
        assert not job.banks.exists()
        places = {name: job.folder / place for name, place in record["results"].items()}
        assert set(places) == ({"images"} if job.run.scored else set()) | ({"captions"} if job.run.read else set())
        for folder in places.values():
            result = read_result(folder)
            assert (result["model"]["name"], result["seed"]) == (job.run.recipe, 1)
            assert set(read_predictions(folder).scores) == set(DETECTORS)
            assert not (folder / "report.html").exists()
    ce, ncm = jobs[1], jobs[2]
    begun_with = read_training(ncm.checkpoint)
    assert begun_with is not None
    assert begun_with["digests"]["start"] == files_digest([ce.checkpoint / "model.safetensors"])
    numbers = read_numbers(jobs, 20)
    assert numbers.missing == ()
    thp = numbers.measured["finetune/tiny-thp-thp"].seeds[0]
    assert thp.results["captions"]["measured"]["captions"]["own"]["masked"]["rows"] == 15
    assert thp.predictions is not None
    predictions = read_predictions(thp.job.folder / thp.record["results"]["images"])
    assert thp.results["images"]["digests"]["predictions"] == digest(predictions)
    assert thp.results["images"]["digests"]["recipe"] == jobs[3].recipe().digest
    stamp = (ce.checkpoint / "model.safetensors").stat().st_mtime_ns
    work(ce)  # again: the checkpoint stays, results are the same
    assert (ce.checkpoint / "model.safetensors").stat().st_mtime_ns == stamp
