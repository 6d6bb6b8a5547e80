"""Contrast, reconstruction and plain transformers: what the features are trained by."""

from __future__ import annotations

from openmmlo.leaderboard.methods.method import Method

METHODS = (
    Method(
        "paco",
        "PaCo",
        "representation",
        "One softmax over learned class centres, whose logits carry the class prior, and over features of other "
        "images from a queue. An image is drawn to its centre with full weight and to same-class images with a small "
        "one, so frequent classes gain less from having many images.",
        "Parametric Contrastive Learning",
        ("Jiequan Cui", "Zhisheng Zhong", "Shu Liu", "Bei Yu", "Jiaya Jia"),
        "ICCV",
        2021,
        "https://arxiv.org/abs/2107.12028",
        "https://github.com/dvlab-research/Parametric-Contrastive-Learning",
    ),
    Method(
        "vit",
        "ViT",
        "representation",
        "An image is cut into patches that a transformer reads as a sequence, trained by cross-entropy. Without more "
        "data or strong augmentation it learns rare classes poorly.",
        "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        ("Alexey Dosovitskiy", "Lucas Beyer", "Alexander Kolesnikov", "Dirk Weissenborn", "Xiaohua Zhai",
         "Thomas Unterthiner", "Mostafa Dehghani", "Matthias Minderer", "Georg Heigold", "Sylvain Gelly",
         "Jakob Uszkoreit", "Neil Houlsby"),
        "ICLR",
        2021,
        "https://arxiv.org/abs/2010.11929",
        "https://github.com/google-research/vision_transformer",
    ),
    Method(
        "mae",
        "MAE",
        "representation",
        "A transformer sees a quarter of an image's patches and learns to paint the others, without labels; its "
        "encoder is then fine-tuned by cross-entropy. The first part does not depend on how many images a class has.",
        "Masked Autoencoders Are Scalable Vision Learners",
        ("Kaiming He", "Xinlei Chen", "Saining Xie", "Yanghao Li", "Piotr Dollár", "Ross Girshick"),
        "CVPR",
        2022,
        "https://arxiv.org/abs/2111.06377",
        "https://github.com/facebookresearch/mae",
    ),
    Method(
        "deit-iii",
        "DeiT III",
        "representation",
        "A recipe for supervised vision transformers: binary cross-entropy on mixed images, three simple "
        "augmentations, scaled residual layers, a long schedule at low resolution. It takes no account of class "
        "counts.",
        "DeiT III: Revenge of the ViT",
        ("Hugo Touvron", "Matthieu Cord", "Hervé Jégou"),
        "ECCV",
        2022,
        "https://arxiv.org/abs/2204.07118",
        "https://github.com/facebookresearch/deit",
    ),
    Method(
        "livt",
        "LiVT",
        "representation",
        "A masked autoencoder is trained on the long-tailed images themselves, then fine-tuned by binary "
        "cross-entropy whose logits are shifted by the log odds of each class's prior. Plain logits decide.",
        "Learning Imbalanced Data with Vision Transformers",
        ("Zhengzhuo Xu", "Ruikang Liu", "Shuo Yang", "Zenghao Chai", "Chun Yuan"),
        "CVPR",
        2023,
        "https://arxiv.org/abs/2212.02015",
        "https://github.com/XuZhengzhuo/LiVT",
    ),
    Method(
        "supcon",
        "SupCon",
        "ood-training",
        "Two views of every image are drawn towards all other images of its class in the batch and away from the "
        "rest, on the unit sphere. A classifier is trained on the features; distances in them tell images out of "
        "distribution.",
        "Supervised Contrastive Learning",
        ("Prannay Khosla", "Piotr Teterwak", "Chen Wang", "Aaron Sarna", "Yonglong Tian", "Phillip Isola",
         "Aaron Maschinot", "Ce Liu", "Dilip Krishnan"),
        "NeurIPS",
        2020,
        "https://arxiv.org/abs/2004.11362",
        "https://github.com/HobbitLong/SupContrast",
    ),
)  # fmt: skip
