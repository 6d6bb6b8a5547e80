"""Out-of-distribution detection: training for it, and scores that need none."""

from __future__ import annotations

from openmmlo.leaderboard.methods.method import Method

_KNN = (
    "Out-of-Distribution Detection with Deep Nearest Neighbors",
    ("Yiyou Sun", "Yifei Ming", "Xiaojin Zhu", "Yixuan Li"),
    "ICML",
    2022,
    "https://arxiv.org/abs/2204.06507",
    "https://github.com/deeplearning-wisc/knn-ood",
)

METHODS = (
    Method(
        "cider",
        "CIDER",
        "ood-training",
        "Features on the unit sphere are drawn to their class's prototype, and prototypes, which follow the features "
        "by a moving average, are driven apart. The distance to the k-th nearest training feature tells images out "
        "of distribution.",
        "How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?",
        ("Yifei Ming", "Yiyou Sun", "Ousmane Dia", "Yixuan Li"),
        "ICLR",
        2023,
        "https://arxiv.org/abs/2203.04450",
        "https://github.com/deeplearning-wisc/cider",
    ),
    Method(
        "knn-plus",
        "KNN+",
        "ood-training",
        "The distance to the k-th nearest training feature, in normalised features of a network trained by "
        "supervised contrast.",
        *_KNN,
    ),
    Method(
        "ssd-plus",
        "SSD+",
        "ood-training",
        "Supervised contrast trains the features; the Mahalanobis distance to one Gaussian of all training features, "
        "normalised and standardised, tells images out of distribution.",
        "SSD: A Unified Framework for Self-Supervised Outlier Detection",
        ("Vikash Sehwag", "Mung Chiang", "Prateek Mittal"),
        "ICLR",
        2021,
        "https://arxiv.org/abs/2103.12051",
        "https://github.com/inspire-group/SSD",
    ),
    Method(
        "csi",
        "CSI",
        "ood-training",
        "Contrast in which rotated copies of an image count as other images, with a head that names the rotation; "
        "the score joins similarity to the training images, feature norm and the certainty about the rotation.",
        "CSI: Novelty Detection via Contrastive Learning on Distributionally Shifted Instances",
        ("Jihoon Tack", "Sangwoo Mo", "Jongheon Jeong", "Jinwoo Shin"),
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/2007.08176",
        "https://github.com/alinlab/CSI",
    ),
    Method(
        "ce-simclr",
        "CE + SimCLR",
        "ood-training",
        "Cross-entropy and contrast between views are trained together; the score is the highest log density of a "
        "Gaussian fitted to each class's features.",
        "Contrastive Training for Improved Out-of-Distribution Detection",
        ("Jim Winkens", "Rudy Bunel", "Abhijit Guha Roy", "Robert Stanforth", "Vivek Natarajan", "Joseph R. Ledsam",
         "Patricia MacWilliams", "Pushmeet Kohli", "Alan Karthikesalingam", "Simon Kohl", "Taylan Cemgil",
         "S. M. Ali Eslami", "Olaf Ronneberger"),
        "arXiv",
        2020,
        "https://arxiv.org/abs/2007.05566",
    ),
    Method(
        "proxy-anchor",
        "ProxyAnchor",
        "ood-training",
        "A metric-learning loss: a learned proxy for each class draws its images and repels all others, the hardest "
        "most, with a margin. Distances between features then serve as scores.",
        "Proxy Anchor Loss for Deep Metric Learning",
        ("Sungyeon Kim", "Dongwon Kim", "Minsu Cho", "Suha Kwak"),
        "CVPR",
        2020,
        "https://arxiv.org/abs/2003.13911",
        "https://github.com/tjddus9597/Proxy-Anchor-CVPR2020",
    ),
    Method(
        "msp",
        "Maximum softmax probability",
        "ood-detector",
        "The probability of the predicted class: low ones count as out of distribution. It needs nothing but the "
        "classifier.",
        "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
        ("Dan Hendrycks", "Kevin Gimpel"),
        "ICLR",
        2017,
        "https://arxiv.org/abs/1610.02136",
    ),
    Method(
        "energy",
        "Energy",
        "ood-detector",
        "The log of the sum of the exponentials of the logits: unlike the softmax it keeps how large they are. Low "
        "values count as out of distribution.",
        "Energy-based Out-of-distribution Detection",
        ("Weitang Liu", "Xiaoyun Wang", "John D. Owens", "Yixuan Li"),
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/2010.03759",
    ),
    Method(
        "mahalanobis",
        "Mahalanobis",
        "ood-detector",
        "The distance of a feature to the nearest class mean, measured by the covariance within classes that all "
        "share.",
        "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
        ("Kimin Lee", "Kibok Lee", "Honglak Lee", "Jinwoo Shin"),
        "NeurIPS",
        2018,
        "https://arxiv.org/abs/1807.03888",
    ),
    Method(
        "knn",
        "k-th nearest neighbour",
        "ood-detector",
        "The distance of a normalised feature to its k-th nearest training feature. On unit features T-hp's "
        "similarity, the cosine and this distance rank images alike.",
        *_KNN,
    ),
)  # fmt: skip
