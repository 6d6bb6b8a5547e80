"""Several experts whose answers are put together."""

from __future__ import annotations

from openmmlo.leaderboard.methods.method import Method

METHODS = (
    Method(
        "ace",
        "ACE",
        "ensemble",
        "Experts on shared first blocks know nested sets of classes: all, medium and few, few alone. Each learns its "
        "own classes, is held back on the others, and learns at a rate that follows its share of the images. A "
        "class's score is the mean over the experts that know it.",
        "ACE: Ally Complementary Experts for Solving Long-Tailed Recognition in One-Shot",
        ("Jiarui Cai", "Yizhou Wang", "Jenq-Neng Hwang"),
        "ICCV",
        2021,
        "https://arxiv.org/abs/2108.02385",
    ),
    Method(
        "ride",
        "RIDE",
        "ensemble",
        "Three or four experts with last stages of their own are trained side by side, each by a margin loss, and "
        "pushed apart by a divergence that counts more for rare classes. A router then learns which images need a "
        "further expert; the mean of the logits decides.",
        "Long-tailed Recognition by Routing Diverse Distribution-Aware Experts",
        ("Xudong Wang", "Long Lian", "Zhongqi Miao", "Ziwei Liu", "Stella X. Yu"),
        "ICLR",
        2021,
        "https://arxiv.org/abs/2010.01809",
        "https://github.com/frank-xwang/RIDE-LongTailRecognition",
    ),
    Method(
        "ncl",
        "NCL",
        "ensemble",
        "Several whole networks learn together by balanced softmax and imitate each other, on all classes and again "
        "on each image's hardest ones. Their mean decides; a single network of them may be used alone.",
        "Nested Collaborative Learning for Long-Tailed Visual Recognition",
        ("Jun Li", "Zichang Tan", "Jun Wan", "Zhen Lei", "Guodong Guo"),
        "CVPR",
        2022,
        "https://arxiv.org/abs/2203.15359",
        "https://github.com/Bazinga699/NCL",
    ),
)
