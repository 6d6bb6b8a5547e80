"""The linear probe against scikit-learn's logistic regression, its search for C, its hold-out, and odd data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from banks import bank_of, clustered
from sklearn.linear_model import LogisticRegression

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.classifiers import open_classifier
from openmmlo.evaluate.classifiers.linear_probe import LinearProbe, hold_out, rows_of
from openmmlo.evaluate.classifiers.penalty_sweep import sweep
from openmmlo.evaluate.classifiers.softmax_regression import SoftmaxRegression, flat
from openmmlo.evaluate.features.bank import FeatureBank

CLASSES = 5


@pytest.fixture(autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def train() -> FeatureBank:
    return clustered(150, CLASSES, 6, seed=0, name="train", noise=1.5)


@pytest.fixture(scope="module")
def validation() -> FeatureBank:
    return clustered(100, CLASSES, 6, seed=1, name="val", noise=1.5)


@pytest.mark.parametrize("penalty", [1e-3, 0.316, 30.0])
@pytest.mark.parametrize("classes", [2, CLASSES])
def test_it_is_scikit_learns_logistic_regression(train: FeatureBank, penalty: float, classes: int) -> None:
    some = rows_of(train, np.flatnonzero(train.labels < classes))
    fitted = LinearProbe(penalty, tolerance=1e-7).fit(some, classes)
    peer = LogisticRegression(C=penalty, tol=1e-8, max_iter=10_000).fit(some.features.astype(np.float64), some.labels)
    coefficients, intercepts = peer.coef_, peer.intercept_
    if classes == 2:
        # Of two classes scikit-learn fits one row, the difference of two, whose penalty is half that of the two rows.
        peer.set_params(C=2 * penalty).fit(some.features.astype(np.float64), some.labels)
        coefficients, intercepts = np.vstack([-peer.coef_, peer.coef_]) / 2, np.array([-1, 1]) * peer.intercept_ / 2
    head = fitted.head
    assert head is not None
    assert head.weight is not None
    assert head.bias is not None
    np.testing.assert_allclose(head.weight, coefficients, atol=2e-5)
    np.testing.assert_allclose(head.bias, intercepts - intercepts.mean(), atol=2e-5)
    assert fitted.choices["converged"] is True
    assert (fitted.predict(train) == peer.predict(train.features)).all()


def test_gradient_is_that_of_differences(train: FeatureBank) -> None:
    problem = SoftmaxRegression(train.features, train.labels, CLASSES, precision="float64")
    generator = np.random.default_rng(2)
    at, step = generator.normal(size=CLASSES * 7), 1e-6
    _, slope = problem.loss_and_gradient(at, 0.3)
    for place in range(len(at)):
        moved = np.eye(len(at))[place] * step
        up, down = problem.loss_and_gradient(at + moved, 0.3)[0], problem.loss_and_gradient(at - moved, 0.3)[0]
        assert slope[place] == pytest.approx((up - down) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("rows", [1, 37, 1000])
def test_blocks_of_any_size_and_mapped_half_precision_give_the_same(
    train: FeatureBank, rows: int, tmp_path: Path
) -> None:
    halved = train.features.astype(np.float16)
    np.save(tmp_path / "features.npy", halved)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    at = np.random.default_rng(3).normal(size=CLASSES * 7)
    whole = SoftmaxRegression(halved.astype(np.float64), train.labels, CLASSES).loss_and_gradient(at, 0.1)
    parts = SoftmaxRegression(mapped, train.labels, CLASSES, block_rows=rows).loss_and_gradient(at, 0.1)
    assert parts[0] == pytest.approx(whole[0], rel=1e-12)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-14)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_skewed_features_far_from_the_origin_take_few_steps() -> None:
    """As pixels and many networks have them: one direction a thousand times as wide as another, rare classes."""
    generator = np.random.default_rng(4)
    labels = np.repeat(np.arange(8), [200, 120, 70, 40, 24, 14, 8, 5])
    turned, _ = np.linalg.qr(generator.normal(size=(30, 30)))
    rows = (generator.normal(size=(len(labels), 30)) + generator.normal(size=(8, 30))[labels]) * np.logspace(0, -3, 30)
    features = rows @ turned + 5
    for penalty in (1.0, 100.0):
        problem = SoftmaxRegression(features, labels, 8)
        found = problem.fit(penalty, None, 150, 1e-4)
        peer = LogisticRegression(C=penalty, solver="newton-cg", tol=1e-8, max_iter=500).fit(features - 5, labels)

        def loss(weight: np.ndarray, bias: np.ndarray, c: float, problem: SoftmaxRegression = problem) -> float:
            at = np.concatenate([weight.ravel(), bias + weight @ problem.centre])
            return problem.loss_and_gradient(at, 1 / (c * len(labels)))[0]

        least = loss(peer.coef_, peer.intercept_ - peer.coef_ @ np.full(30, 5.0), penalty)
        assert found.converged
        assert least - 1e-9 < loss(found.weight, found.bias, penalty) < least + 1e-4
        plain = LogisticRegression(C=penalty, max_iter=150).fit(features, labels)
        assert loss(plain.coef_, plain.intercept_, penalty) > least + 1e-3


def test_very_wide_features_and_large_ones_are_fitted_alike(
    train: FeatureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the matrix of principal axes, and with features that are read anew in each step."""
    usual = SoftmaxRegression(train.features, train.labels, CLASSES).fit(1.0, None, 1000, 1e-8)
    monkeypatch.setattr("openmmlo.evaluate.classifiers.softmax_regression.MOST_TURNED", 5)
    monkeypatch.setattr("openmmlo.evaluate.classifiers.softmax_regression.MOST_KEPT", 100)
    problem = SoftmaxRegression(train.features, train.labels, CLASSES, block_rows=40)
    spared = problem.fit(1.0, None, 1000, 1e-8)
    assert not problem._kept
    np.testing.assert_allclose(spared.weight, usual.weight, atol=1e-6)
    np.testing.assert_allclose(spared.bias, usual.bias, atol=1e-6)


def test_it_computes_where_the_model_is_if_that_is_a_cuda_device() -> None:
    import torch

    def device(name: str, where: torch.device | str) -> object:
        made = open_classifier(name, where)
        return getattr(made, "device", None)

    assert device("linear-probe", torch.device("cuda", 1)) == "cuda:1"
    assert device("linear-probe", "cpu") == "cpu"
    assert device("linear-probe", torch.device("mps")) == "cpu"  # it has no float64
    assert device("knn", torch.device("cuda", 0)) is None
    assert device("ncm", torch.device("cuda", 0)) is None


def test_float32_products_reach_the_same_fit(train: FeatureBank) -> None:
    wide, narrow = (
        LinearProbe(1.0, tolerance=1e-5, precision=kind).fit(train, CLASSES) for kind in ("float64", "float32")
    )
    assert (wide.choices["precision"], narrow.choices["precision"]) == ("float64", "float32")
    assert wide.head is not None
    assert narrow.head is not None
    np.testing.assert_allclose(narrow.head.weight, wide.head.weight, atol=2e-3)


def test_a_warm_start_ends_where_a_cold_one_does(train: FeatureBank) -> None:
    problem = SoftmaxRegression(train.features, train.labels, CLASSES)
    begin = problem.fit(0.01, None, 1000, 1e-8)
    warm, cold = problem.fit(1.0, flat(begin), 1000, 1e-8), problem.fit(1.0, None, 1000, 1e-8)
    np.testing.assert_allclose(warm.weight, cold.weight, atol=1e-5)


def test_c_is_the_best_on_validation_of_those_tried(train: FeatureBank, validation: FeatureBank) -> None:
    fitted = LinearProbe().fit(train, CLASSES, validation)
    choices = fitted.choices
    assert choices["chosen_on"] == "val"
    assert choices["held_out"] is None
    scores = {item["C"]: item["accuracy"] for item in choices["sweep"]}
    assert choices["C"] == min(c for c, score in scores.items() if score == max(scores.values()))
    for penalty, score in list(scores.items())[::4]:
        predicted = LinearProbe(penalty).fit(train, CLASSES).predict(validation)
        rates = [np.mean(predicted[validation.labels == c] == c) for c in range(CLASSES)]
        assert score == pytest.approx(np.mean(rates), abs=0.02)
    assert json.loads(json.dumps(choices)) == choices


def test_without_validation_it_says_what_was_held_out(train: FeatureBank) -> None:
    fitted, again = (LinearProbe().fit(train, CLASSES, seed=3) for _ in range(2))
    assert fitted.choices == again.choices
    assert fitted.choices["held_out"]["seed"] == 3
    assert f"{fitted.choices['held_out']['rows']:,} training samples" in fitted.choices["chosen_on"]
    direct = LinearProbe(fitted.choices["C"]).fit(train, CLASSES)
    assert np.mean(direct.predict(train) == fitted.predict(train)) > 0.99


def test_hold_out_takes_a_share_of_each_class_and_leaves_one() -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 7, 2, 1])
    bank = bank_of(np.ones((60, 2)), labels, "train")
    learn, held = hold_out(bank, 0.2, seed=0)
    assert np.bincount(labels[held], minlength=4).tolist() == [10, 1, 1, 0]
    assert sorted([*learn, *held]) == list(range(60))
    assert (hold_out(bank, 0.2, seed=0)[1] == held).all()
    assert (hold_out(bank, 0.2, seed=1)[1] != held).any()
    # The choice hangs on ids, not on the order of the rows.
    order = np.random.default_rng(0).permutation(60)
    ids = set(bank.sample_ids[held])
    assert {rows_of(bank, order).sample_ids[row] for row in hold_out(rows_of(bank, order), 0.2, 0)[1]} == ids


def test_classes_of_one_sample_each_leave_nothing_to_choose_on() -> None:
    fitted = LinearProbe().fit(bank_of(np.eye(3), [0, 1, 2], "train"), 3)
    assert fitted.choices["C"] == 1
    assert "nothing" in fitted.choices["chosen_on"]
    assert fitted.predict(bank_of(np.eye(3), [0, 1, 2])).tolist() == [0, 1, 2]


def test_classes_without_images_are_never_predicted(train: FeatureBank) -> None:
    gapped = bank_of(train.features, 2 * train.labels, "train")
    fitted = LinearProbe(1.0).fit(gapped, 11)
    whole = LinearProbe(1.0).fit(train, CLASSES)
    assert fitted.choices["classes_without_images"] == 6
    assert (fitted.predict(train) == 2 * whole.predict(train)).all()
    assert fitted.head is not None
    logits = fitted.head.apply(train.features)
    assert np.isfinite(logits).all()
    present = np.arange(0, 2 * CLASSES, 2)
    assert np.delete(logits, present, axis=1).max() < logits[:, present].min() - 1000


def test_it_says_where_it_has_not_converged(train: FeatureBank) -> None:
    choices = LinearProbe(100.0, most_iterations=2).fit(train, CLASSES).choices
    assert choices["converged"] is False
    assert choices["iterations"] == 2


def test_bad_data_are_refused(train: FeatureBank) -> None:
    with pytest.raises(DataError, match="images of 1 of 5 classes; it takes 2"):
        LinearProbe().fit(bank_of(np.ones((4, 2)), np.zeros(4), "train"), 5)
    with pytest.raises(DataError, match="only all-zero features"):
        LinearProbe().fit(bank_of(np.zeros((4, 2)), [0, 0, 1, 1], "train"), 2)
    broken = train.features.copy()
    broken[[0, 7]] = np.nan
    with pytest.raises(DataError, match=r"'train' has 2 of 150 rows with NaN"):
        LinearProbe().fit(bank_of(broken, train.labels, "train"), CLASSES)
    with pytest.raises(DataError, match="labels outside 0 to 3"):
        LinearProbe().fit(train, 4)
    fitted = LinearProbe(1.0).fit(train, CLASSES)
    with pytest.raises(DataError, match="has 7 features a row; the classifier learnt from 6"):
        fitted.predict(bank_of(np.ones((2, 7)), [0, 0]))
    with pytest.raises(DataError, match=r"'test' has 2 of 150 rows"):
        fitted.predict(bank_of(broken, train.labels))


@pytest.mark.parametrize("wrong", [{"penalty": 0.0}, {"most_iterations": 0}, {"held_out": 1.0}, {"tolerance": 0.0}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="linear-probe: "):
        LinearProbe(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("peak", [-5.2, -1.1, 0.0, 0.4, 3.9, 6.0])
def test_sweep_ends_within_one_step_of_a_single_peak(peak: float) -> None:
    asked: list[float] = []

    def score(penalty: float) -> float:
        asked.append(np.log10(penalty))
        return -abs(np.log10(penalty) - peak)

    best, tried = sweep(score)
    assert abs(np.log10(best) - peak) <= 1 / 8
    assert len(asked) == len(tried) <= 7 + 8
    assert tried[best] == max(tried.values())


def test_sweep_of_equal_scores_takes_the_smallest_and_stops_after_two_falls() -> None:
    assert sweep(lambda _: 0.5)[0] == pytest.approx(1e-6)
    asked: list[float] = []

    def falling(penalty: float) -> float:
        asked.append(penalty)
        return -penalty

    sweep(falling)
    assert max(asked) == pytest.approx(1e-2)
