"""Plurals and singulars against the dictionary's, including those that inflect alone gets wrong."""

from __future__ import annotations

import pytest

from openmmlo.building.masking.inflections import plurals, singular

DICTIONARY = """
man:men woman:women snowman:snowmen policeman:policemen tooth:teeth foot:feet goose:geese mouse:mice dormouse:dormice
louse:lice child:children ox:oxen person:people person:persons die:dice
leaf:leaves loaf:loaves shelf:shelves elf:elves thief:thieves half:halves wife:wives life:lives knife:knives calf:calves
wolf:wolves scarf:scarves scarf:scarfs wharf:wharves wharf:wharfs hoof:hooves hoof:hoofs dwarf:dwarves dwarf:dwarfs
roof:roofs cliff:cliffs reef:reefs giraffe:giraffes safe:safes handkerchief:handkerchiefs
lens:lenses bus:buses gas:gases glass:glasses dress:dresses iris:irises atlas:atlases walrus:walruses octopus:octopuses
octopus:octopi platypus:platypuses cactus:cacti cactus:cactuses hippopotamus:hippopotamuses hippopotamus:hippopotami
crocus:crocuses fungus:fungi nucleus:nuclei radius:radii abacus:abacuses thesaurus:thesauruses
axis:axes oasis:oases crisis:crises mantis:mantises ibis:ibises proboscis:proboscises
fox:foxes box:boxes church:churches dish:dishes bush:bushes bench:benches quiz:quizzes stomach:stomachs
butterfly:butterflies berry:berries lady:ladies monkey:monkeys donkey:donkeys turkey:turkeys trolley:trolleys
potato:potatoes tomato:tomatoes mosquito:mosquitoes mosquito:mosquitos volcano:volcanoes volcano:volcanos mango:mangoes
mango:mangos flamingo:flamingos flamingo:flamingoes buffalo:buffaloes buffalo:buffalos piano:pianos photo:photos
tuxedo:tuxedos gecko:geckos dingo:dingoes dingo:dingos kangaroo:kangaroos studio:studios stiletto:stilettos
alga:algae larva:larvae antenna:antennae antenna:antennas vertebra:vertebrae bacterium:bacteria aquarium:aquariums
aquarium:aquaria stadium:stadiums auditorium:auditoria planetarium:planetaria criterion:criteria automaton:automata
matrix:matrices index:indices appendix:appendices vortex:vortices
chateau:chateaux plateau:plateaus bureau:bureaus
german:germans roman:romans human:humans shaman:shamans talisman:talismans ottoman:ottomans caiman:caimans
fish:fishes starfish:starfishes shrimp:shrimps squid:squids mongoose:mongooses bison:bisons grouse:grouses
TV:tvs SUV:suvs cd:cds
"""

NOT_PLURAL = """
lens bus gas glass iris atlas walrus octopus platypus cactus crocus fungus bass albatross grass compass chess
canvas rhinoceros thermos cyclops biceps triceratops species series news tennis mantis ibis axis chassis
specimen cyclamen abdomen ramen sheep deer fish moose aircraft salmon trout bison
camera panda zebra gorilla umbrella guitar llama opera pizza banana sofa tiara tuba viola marimba maraca
cheese house horse vase nurse purse moose goose mouse blouse lighthouse warehouse greenhouse
bee tree knee coffee toffee chimpanzee glasshouse hippopotamus apple orange bottle beetle
aquarium baby bear bed bicycle boy bridge camel can castle caterpillar cattle chair clock cloud cockroach couch
crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster keyboard lamp lawn leopard lion lizard
lobster man maple motorcycle mountain mushroom oak orchid otter palm pear pickup pine plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow wolf woman worm
"""

PLURAL = """
cats:cat men:man women:woman policemen:policeman children:child people:person mice:mouse teeth:tooth geese:goose
leaves:leaf wolves:wolf foxes:fox butterflies:butterfly potatoes:potato buses:bus lenses:lens glasses:glass
cacti:cactus algae:alga bacteria:bacterium zebras:zebra bananas:banana kangaroos:kangaroo taxis:taxi kiwis:kiwi
sunglasses:sunglass binoculars:binocular pajamas:pajama scissors:scissor trousers:trouser
"""


@pytest.mark.parametrize("pair", DICTIONARY.split())
def test_every_plural_of_the_dictionary_is_given(pair: str) -> None:
    word, plural = pair.split(":")
    assert plural in plurals(word)


@pytest.mark.parametrize("word", NOT_PLURAL.split())
def test_a_singular_is_not_taken_for_a_plural(word: str) -> None:
    assert singular(word) is None


@pytest.mark.parametrize("pair", PLURAL.split())
def test_a_plural_gives_its_singular(pair: str) -> None:
    plural, word = pair.split(":")
    assert singular(plural) == word


def test_no_plural_is_a_word_of_every_sentence() -> None:
    words = {pair.split(":")[0] for pair in DICTIONARY.split()} | set(NOT_PLURAL.split())
    assert not {"a", "it", "its", "as", "is", "us", "the"} & {plural for word in words for plural in plurals(word)}
