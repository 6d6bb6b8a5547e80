"""Models that read images and text: trained together, or built on CLIP."""

from __future__ import annotations

from openmmlo.leaderboard.methods.method import Method

_THP = (
    "Adapting Multi-modal Large Language Model to Concept Drift From Pre-training Onwards",
    ("Xiaoyu Yang", "Jie Lu", "En Yu"),
    "ICLR",
    2025,
    "https://arxiv.org/abs/2405.13459",
    "https://github.com/XiaoyuYoung/ConceptDriftMLLMs",
)
_CLIP = (
    "Learning Transferable Visual Models From Natural Language Supervision",
    ("Alec Radford", "Jong Wook Kim", "Chris Hallacy", "Aditya Ramesh", "Gabriel Goh", "Sandhini Agarwal",
     "Girish Sastry", "Amanda Askell", "Pamela Mishkin", "Jack Clark", "Gretchen Krueger", "Ilya Sutskever"),
    "ICML",
    2021,
    "https://arxiv.org/abs/2103.00020",
    "https://github.com/openai/CLIP",
)  # fmt: skip

METHODS = (
    Method(
        "thp",
        "T-hp",
        "vision-language",
        "Images and captions are aligned, and images classified, by 2 / (1 + kappa (1 - cos)) in place of the "
        "cosine, kappa 16: steep near a class's centre and flat far from it, so that many distant images of frequent "
        "classes move the centres of rare ones little. The classifier reads an image with its caption, whose class "
        "names are masked.",
        *_THP,
    ),
    Method(
        "vlm-cosine",
        "The same model with the cosine",
        "vision-language",
        "T-hp's network, losses and budget with the cosine as similarity, in pre-training, in the head or in both, "
        "and with a learned scale as T-hp has: what shows whether the similarity is what helps.",
        *_THP,
    ),
    Method(
        "clip-zero-shot",
        "CLIP, zero-shot",
        "vision-language",
        "Two encoders trained on 400 million pairs of images and texts from the web. An image gets the class whose "
        "prompt, such as 'a photo of a {}', has the nearest embedding; no image of the benchmark is learned from.",
        *_CLIP,
    ),
    Method(
        "clip-linear-probe",
        "CLIP, linear probe",
        "vision-language",
        "A logistic regression on CLIP's frozen image features, its strength of regularisation chosen on held-out "
        "images. Rare classes get little weight, as in any classifier fitted to long-tailed counts.",
        *_CLIP,
    ),
    Method(
        "clip-fine-tune",
        "CLIP, fine-tuned",
        "vision-language",
        "CLIP's image encoder and a linear classifier are trained further by cross-entropy at a small rate. What "
        "frequent classes gain, rare ones lose against zero-shot.",
        *_CLIP,
    ),
    Method(
        "lpt",
        "LPT",
        "vision-language",
        "A frozen vision transformer, trained on ImageNet-21k, gets prompts at every layer: shared ones first, then "
        "a pool of which each image takes the best fitting two, trained on class-balanced and plain batches with an "
        "asymmetric loss.",
        "LPT: Long-tailed Prompt Tuning for Image Classification",
        ("Bowen Dong", "Pan Zhou", "Shuicheng Yan", "Wangmeng Zuo"),
        "ICLR",
        2023,
        "https://arxiv.org/abs/2210.01033",
        "https://github.com/DongSky/LPT",
    ),
    Method(
        "ballad",
        "BALLAD",
        "vision-language",
        "Both of CLIP's encoders are first trained further on images drawn as they come; then they are frozen, and a "
        "linear adapter mixed into the image features is trained on class-aware batches.",
        "A Simple Long-Tailed Recognition Baseline via Vision-Language Model",
        ("Teli Ma", "Shijie Geng", "Mengmeng Wang", "Jing Shao", "Jiasen Lu", "Hongsheng Li", "Peng Gao", "Yu Qiao"),
        "arXiv",
        2021,
        "https://arxiv.org/abs/2111.14745",
        "https://github.com/gaopengcuhk/BALLAD",
    ),
    Method(
        "decoder",
        "Decoder",
        "vision-language",
        "Three transformer blocks and a linear layer read all tokens of CLIP's image encoder, and are trained by any "
        "loss for imbalance; the encoder trains along or, in a form of two stages, stays frozen.",
        "Exploring Vision-Language Models for Imbalanced Learning",
        ("Yidong Wang", "Zhuohao Yu", "Jindong Wang", "Qiang Heng", "Hao Chen", "Wei Ye", "Rui Xie", "Xing Xie",
         "Shikun Zhang"),
        "IJCV",
        2024,
        "https://arxiv.org/abs/2304.01457",
        "https://github.com/Imbalance-VLM/Imbalance-VLM",
    ),
    Method(
        "vl-ltr",
        "VL-LTR",
        "vision-language",
        "Sentences about each class from Wikipedia and prompts join the images: CLIP's encoders are tuned to match "
        "images and sentences of a class, then the images query the best sentences of every class, and that answer "
        "is mixed with a classifier's.",
        "VL-LTR: Learning Class-wise Visual-Linguistic Representation for Long-Tailed Visual Recognition",
        ("Changyao Tian", "Wenhai Wang", "Xizhou Zhu", "Jifeng Dai", "Yu Qiao"),
        "ECCV",
        2022,
        "https://arxiv.org/abs/2111.13579",
        "https://github.com/ChangyaoTian/VL-LTR",
    ),
    Method(
        "lift",
        "LIFT",
        "vision-language",
        "CLIP stays frozen but for a small adapter in every block and a cosine classifier that starts from the class "
        "names' text features; both are trained for some ten epochs by a logit-adjusted loss. The mean over five "
        "crops may decide.",
        "Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts",
        ("Jiang-Xin Shi", "Tong Wei", "Zhi Zhou", "Jie-Jing Shao", "Xin-Yan Han", "Yu-Feng Li"),
        "ICML",
        2024,
        "https://arxiv.org/abs/2309.10019",
        "https://github.com/shijxcs/LIFT",
    ),
    Method(
        "coop",
        "CoOp",
        "vision-language",
        "The words around a class name in CLIP's prompt become vectors that are learned from some images a class, "
        "while both encoders stay frozen.",
        "Learning to Prompt for Vision-Language Models",
        ("Kaiyang Zhou", "Jingkang Yang", "Chen Change Loy", "Ziwei Liu"),
        "IJCV",
        2022,
        "https://arxiv.org/abs/2109.01134",
        "https://github.com/KaiyangZhou/CoOp",
    ),
    Method(
        "vpt",
        "VPT",
        "vision-language",
        "Learned tokens are put among an image's patches, at the first or at every layer of a frozen vision "
        "transformer; with a head they are all that is trained.",
        "Visual Prompt Tuning",
        ("Menglin Jia", "Luming Tang", "Bor-Chun Chen", "Claire Cardie", "Serge Belongie", "Bharath Hariharan",
         "Ser-Nam Lim"),
        "ECCV",
        2022,
        "https://arxiv.org/abs/2203.12119",
        "https://github.com/KMnP/vpt",
    ),
    Method(
        "dapt",
        "DAPT",
        "vision-language",
        "Prompts of both of CLIP's encoders are learned, with two terms besides cross-entropy: text features of "
        "classes are spread out, and image features are drawn to the mean of their class.",
        "Distribution-Aware Prompt Tuning for Vision-Language Models",
        ("Eulrang Cho", "Jooyeon Kim", "Hyunwoo J. Kim"),
        "ICCV",
        2023,
        "https://arxiv.org/abs/2309.03406",
        "https://github.com/mlvlab/DAPT",
    ),
)  # fmt: skip
