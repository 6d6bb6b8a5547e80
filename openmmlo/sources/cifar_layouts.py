"""The two CIFAR archives: their files and sums, their classes in label order, and what captions call them."""

from __future__ import annotations

from dataclasses import dataclass, field

# fmt: off
CIFAR100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)
# fmt: on

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SYNONYMS: dict[str, tuple[str, ...]] = {
    "airplane": ("aeroplane", "plane", "aircraft", "jet"),
    "aquarium_fish": ("fish", "goldfish"),
    "automobile": ("car",),
    "baby": ("infant",),
    "bicycle": ("bike",),
    "bus": ("coach",),
    "can": ("tin", "tin can"),
    "cat": ("kitten",),
    "cattle": ("cow", "bull", "ox", "calf"),
    "chimpanzee": ("chimp", "ape"),
    "cockroach": ("roach",),
    "couch": ("sofa",),
    "crocodile": ("alligator",),
    "cup": ("mug",),
    "deer": ("stag", "doe"),
    "dog": ("puppy",),
    "flatfish": ("flounder", "halibut", "plaice"),
    "forest": ("woods",),
    "horse": ("pony",),
    "keyboard": ("computer keyboard",),
    "lawn_mower": ("lawnmower", "mower"),
    "maple_tree": ("maple",),
    "motorcycle": ("motorbike",),
    "oak_tree": ("oak",),
    "palm_tree": ("palm",),
    "pickup_truck": ("pickup", "pick-up truck"),
    "pine_tree": ("pine",),
    "plain": ("prairie", "grassland"),
    "possum": ("opossum",),
    "rabbit": ("bunny", "hare"),
    "raccoon": ("racoon",),
    "ray": ("stingray", "manta ray"),
    "road": ("highway",),
    "rocket": ("space rocket",),
    "sea": ("ocean",),
    "ship": ("boat", "vessel"),
    "skyscraper": ("high-rise",),
    "streetcar": ("tram", "trolley car"),
    "sweet_pepper": ("bell pepper", "pepper"),
    "telephone": ("phone",),
    "television": ("TV", "television set"),
    "truck": ("lorry",),
    "turtle": ("tortoise",),
    "wardrobe": ("armoire", "closet"),
    "willow_tree": ("willow",),
}
"""Further names by which a caption may call a class; the key with spaces for underscores is always one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one of the two data sets keeps its images and labels.

    ``md5`` are the sums of the original files, by name: the archive and each member.
    """

    title: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels_key: bytes
    names_key: bytes
    classes: tuple[str, ...]
    homes: tuple[str, ...]
    md5: dict[str, str] = field(hash=False)

    def members(self, split: str) -> tuple[str, ...]:
        return self.train if split == "train" else self.test


CIFAR100 = Layout(
    title="CIFAR-100",
    archive="cifar-100-python.tar.gz",
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    labels_key=b"fine_labels",
    names_key=b"fine_label_names",
    classes=CIFAR100_CLASSES,
    homes=("", "cifar100-lt", "cifar100", "cifar-100", "cifar"),
    md5={
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
)

CIFAR10 = Layout(
    title="CIFAR-10",
    archive="cifar-10-python.tar.gz",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    labels_key=b"labels",
    names_key=b"label_names",
    classes=CIFAR10_CLASSES,
    homes=("", "cifar10-lt", "cifar10", "cifar-10", "cifar"),
    md5={
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
)
