"""Representation first, classifier second: another stage on frozen features, or none but arithmetic."""

from __future__ import annotations

from openmmlo.leaderboard.methods.method import Family, Method


def _decoupled(key: str, name: str, family: Family, text: str) -> Method:
    """One of the classifiers of Kang et al."""
    return Method(
        key,
        name,
        family,
        text,
        "Decoupling Representation and Classifier for Long-Tailed Recognition",
        ("Bingyi Kang", "Saining Xie", "Marcus Rohrbach", "Zhicheng Yan", "Albert Gordo", "Jiashi Feng",
         "Yannis Kalantidis"),
        "ICLR",
        2020,
        "https://arxiv.org/abs/1910.09217",
        "https://github.com/facebookresearch/classifier-balancing",
    )  # fmt: skip


METHODS = (
    _decoupled(
        "crt",
        "cRT",
        "two-stage",
        "A network trained by plain cross-entropy keeps its features; its classifier is thrown away and trained anew "
        "for a few epochs on class-aware batches.",
    ),
    _decoupled(
        "lws",
        "LWS",
        "two-stage",
        "A network trained by plain cross-entropy keeps its features and its classifier's directions; only one "
        "factor a class, which stretches or shrinks its logit, is learned on class-aware batches.",
    ),
    _decoupled(
        "tau-norm",
        "tau-normalised classifier",
        "post-hoc",
        "A network trained by plain cross-entropy decides with its classifier's weights divided by their norm to the "
        "power tau, without bias, because norms grow with class counts. Tau 0 leaves the norms as they are, tau 1 "
        "makes all of them one; tau is chosen on held-out images.",
    ),
    _decoupled(
        "ncm",
        "Nearest class mean",
        "post-hoc",
        "An image gets the class whose mean training feature is nearest, in the features of a network trained by "
        "plain cross-entropy. Nothing is trained, and every class counts alike however many images made its mean.",
    ),
    Method(
        "mislas",
        "MiSLAS",
        "two-stage",
        "Cross-entropy with mixup first. Then, on class-balanced batches, batch-normalisation statistics are let "
        "drift, the classifier and one scale a class are tuned, and labels are smoothed more the more images a class "
        "has, which mends overconfidence in frequent classes.",
        "Improving Calibration for Long-Tailed Recognition",
        ("Zhisheng Zhong", "Jiequan Cui", "Shu Liu", "Jiaya Jia"),
        "CVPR",
        2021,
        "https://arxiv.org/abs/2104.00466",
        "https://github.com/dvlab-research/MiSLAS",
    ),
)
