"""Which WordNet sense a class is, where the likeliest one is another: looked over by eye, class by class.

Class key -> WordNet 3.0 noun offset. "table" is the furniture, not the set of data; "dolphin" the whale, not the fish.
"""

from __future__ import annotations

from collections.abc import Mapping

CIFAR100: Mapping[str, str] = {
    "dolphin": "n02068974",
    "maple_tree": "n12752205",
    "plate": "n03959485",
    "rabbit": "n02324045",
    "ray": "n01495701",
    "seal": "n02076196",
    "table": "n04379243",
    "television": "n04405907",
}

MINIATURE: Mapping[str, str] = {"sun": "n09450163"}

PLACES: Mapping[str, str] = {
    "airplane_cabin": "n02932019",
    "arch": "n02733524",
    "barndoor": "n02793842",
    "berth": "n02831724",
    "cabin-outdoor": "n02932400",
    "canal-natural": "n02947212",
    "canal-urban": "n02947212",
    "carrousel": "n02966193",
    "delicatessen": "n03173387",
    "diner-outdoor": "n03199647",
    "excavation": "n03302121",
    "galley": "n03412220",
    "home_office": "n03841666",
    "islet": "n09319456",
    "jacuzzi-indoor": "n03543603",
    "market-indoor": "n03722288",
    "market-outdoor": "n03722288",
    "office_cubicles": "n02873839",
    "plaza": "n08619795",
    "raceway": "n04037625",
    "reception": "n04061681",
    "residential_neighborhood": "n08642331",
    "rock_arch": "n02733524",
    "runway": "n04120842",
    "sandbox": "n04134339",
    "volcano": "n09472597",
    "watering_hole": "n09475827",
    "yard": "n04610879",
}
