"""Losses, heads and samplers: one stage of training, another weighting of what is seen."""

from __future__ import annotations

from openmmlo.leaderboard.methods.method import Method

_REN = ("Jiawei Ren", "Cunjun Yu", "Shunan Sheng", "Xiao Ma", "Haiyu Zhao", "Shuai Yi", "Hongsheng Li")
_MENON = (
    "Aditya Krishna Menon", "Sadeep Jayasumana", "Ankit Singh Rawat", "Himanshu Jain", "Andreas Veit", "Sanjiv Kumar",
)  # fmt: skip

METHODS = (
    Method(
        "ce",
        "Cross-entropy",
        "loss",
        "The mean negative log probability of the right class, with every image drawn equally often. Frequent "
        "classes send most of the gradient, so the classifier's biases and weight norms come to follow the class "
        "counts: what every other method here is measured against.",
        "Deep Learning",
        ("Ian Goodfellow", "Yoshua Bengio", "Aaron Courville"),
        "MIT Press",
        2016,
        "https://www.deeplearningbook.org",
    ),
    Method(
        "ce-class-aware",
        "Cross-entropy, class-aware sampling",
        "sampler",
        "Cross-entropy on batches for which a class is drawn uniformly first and an image of it second. All classes "
        "are seen equally often; the few images of a rare one are repeated many times, which invites overfitting to "
        "them.",
        "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks",
        ("Li Shen", "Zhouchen Lin", "Qingming Huang"),
        "ECCV",
        2016,
        "https://arxiv.org/abs/1512.05830",
    ),
    Method(
        "ce-square-root",
        "Cross-entropy, square-root sampling",
        "sampler",
        "Cross-entropy on batches whose classes are drawn in proportion to the square root of their image counts: "
        "half way, on a logarithmic scale, between drawing images alike and drawing classes alike.",
        "Exploring the Limits of Weakly Supervised Pretraining",
        ("Dhruv Mahajan", "Ross Girshick", "Vignesh Ramanathan", "Kaiming He", "Manohar Paluri", "Yixuan Li",
         "Ashwin Bharambe", "Laurens van der Maaten"),
        "ECCV",
        2018,
        "https://arxiv.org/abs/1805.00932",
    ),
    Method(
        "focal",
        "Focal loss",
        "loss",
        "Cross-entropy of each image times (1 - p)^gamma, p being the probability given to its class: what is "
        "already right adds little. Made for detectors that see mostly background; it knows nothing of class counts.",
        "Focal Loss for Dense Object Detection",
        ("Tsung-Yi Lin", "Priya Goyal", "Ross Girshick", "Kaiming He", "Piotr Dollár"),
        "ICCV",
        2017,
        "https://arxiv.org/abs/1708.02002",
    ),
    Method(
        "class-balanced",
        "Class-balanced loss",
        "loss",
        "Cross-entropy weighted by the inverse of a class's effective number of images, (1 - beta^n) / (1 - beta), "
        "with weights scaled to a mean of one. Beta 0 weighs all classes alike, beta towards 1 by the inverse of "
        "their counts.",
        "Class-Balanced Loss Based on Effective Number of Samples",
        ("Yin Cui", "Menglin Jia", "Tsung-Yi Lin", "Yang Song", "Serge Belongie"),
        "CVPR",
        2019,
        "https://arxiv.org/abs/1901.05555",
        "https://github.com/richardaecn/class-balanced-loss",
    ),
    Method(
        "ldam-drw",
        "LDAM-DRW",
        "loss",
        "A cosine classifier whose right class must win by a margin that falls with the fourth root of its image "
        "count, 0.5 for the rarest class. Class-balanced weights join only in the last fifth of the training "
        "(deferred re-weighting), when features have formed.",
        "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
        ("Kaidi Cao", "Colin Wei", "Adrien Gaidon", "Nikos Arechiga", "Tengyu Ma"),
        "NeurIPS",
        2019,
        "https://arxiv.org/abs/1906.07413",
        "https://github.com/kaidic/LDAM-DRW",
    ),
    Method(
        "logit-adjustment",
        "Logit adjustment (loss)",
        "loss",
        "Cross-entropy on logits to which tau times the log class prior is added; at test the plain logits decide. "
        "The network need not learn the prior, so its plain logits suit balanced classes. With tau 1 it is balanced "
        "softmax.",
        "Long-tail learning via logit adjustment",
        _MENON,
        "ICLR",
        2021,
        "https://arxiv.org/abs/2007.07314",
        "https://github.com/google-research/google-research/tree/master/logit_adjustment",
    ),
    Method(
        "logit-adjustment-posthoc",
        "Logit adjustment (after training)",
        "post-hoc",
        "A network trained by plain cross-entropy decides by its logits minus tau times the log class prior. Nothing "
        "is trained again; tau 1 is what follows from Bayes' rule where the network's probabilities are right.",
        "Long-tail learning via logit adjustment",
        _MENON,
        "ICLR",
        2021,
        "https://arxiv.org/abs/2007.07314",
        "https://github.com/google-research/google-research/tree/master/logit_adjustment",
    ),
    Method(
        "balanced-softmax",
        "Balanced softmax",
        "loss",
        "Cross-entropy on logits plus the log of each class's image count; the plain logits decide at test. It is "
        "the likelihood of the training labels under their own prior, so what is learned beneath is free of that "
        "prior.",
        "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
        _REN,
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/2007.10740",
        "https://github.com/jiawei-ren/BalancedMetaSoftmax-Classification",
    ),
    Method(
        "balms",
        "BALMS",
        "loss",
        "Balanced softmax, then a classifier trained on a frozen backbone with a learned sampler: how often each "
        "class is drawn is itself optimised, through a virtual step of the classifier, on a class-balanced batch "
        "held beside.",
        "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
        _REN,
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/2007.10740",
        "https://github.com/jiawei-ren/BalancedMetaSoftmax-Classification",
    ),
    Method(
        "lade",
        "LADE",
        "loss",
        "Balanced softmax plus a term that asks of each class's logit to be an estimate of how much likelier its "
        "images are than those of all classes together (the Donsker-Varadhan bound). The prior of any test set can "
        "then be added.",
        "Disentangling Label Distribution for Long-tailed Visual Recognition",
        ("Youngkyu Hong", "Seungju Han", "Kwanghee Choi", "Seokjun Seo", "Beomsu Kim", "Buru Chang"),
        "CVPR",
        2021,
        "https://arxiv.org/abs/2012.00321",
        "https://github.com/hyperconnect/LADE",
    ),
    Method(
        "t-vmf",
        "t-vMF similarity",
        "loss",
        "Cross-entropy over a classifier that replaces the cosine by (1 + cos) / (1 + kappa (1 - cos)) - 1, times a "
        "learned scale: a peak around the class centre that gathers each class. T-hp's head differs from it by a "
        "scale and a constant.",
        "T-vMF Similarity for Regularizing Intra-Class Feature Distribution",
        ("Takumi Kobayashi",),
        "CVPR",
        2021,
        "https://doi.org/10.1109/CVPR46437.2021.00655",
        "https://github.com/tk1980/tvMF",
    ),
    Method(
        "wcdas",
        "WCDAS",
        "loss",
        "Cross-entropy over densities of the wrapped Cauchy distribution around each class's centre, with a "
        "concentration for every class that is learned along. For one concentration it is T-hp's similarity times a "
        "factor.",
        "Wrapped Cauchy Distributed Angular Softmax for Long-Tailed Visual Recognition",
        ("Boran Han",),
        "ICML",
        2023,
        "https://arxiv.org/abs/2305.18732",
        "https://github.com/boranhan/WCDAS_code",
    ),
)  # fmt: skip
