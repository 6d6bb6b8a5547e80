"""WordNet 3.0: laid out, found, refused, and asked for nouns and broader terms."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from openmmlo.building import wordnet_files
from openmmlo.building.wordnet import WordNet, find_wordnet, need_wordnet, set_up
from openmmlo.cli import main
from openmmlo.errors import DataError

NOUNS = "dog dogs geese men mountain glass light Trees CHURCHES children rock features grass person feet mice"
NOT_NOUNS = "the a at it in he as run running red holding quickly green is are sitting two leaves zzyzx 7 ' large"


@pytest.fixture
def dict_folder(wordnet_dict: Path, tmp_path: Path) -> Path:
    """A folder with links to the files, some of which a test then replaces."""
    folder = tmp_path / "dict"
    folder.mkdir()
    for name in wordnet_files.SIZES:
        (folder / name).symlink_to(wordnet_dict / name)
    return folder


def replace(folder: Path, name: str, data: bytes) -> None:
    (folder / name).unlink()
    (folder / name).write_bytes(data)


# Laying it out.


def test_it_is_laid_out_whole_and_once(wordnet_dict: Path, tmp_path: Path) -> None:
    first = set_up(wordnet_dict, tmp_path / "nltk_data")
    assert first.made
    assert first.folder == tmp_path / "nltk_data" / "corpora" / "wordnet"
    assert {path.name for path in first.folder.iterdir()} == {*wordnet_files.SIZES, "lexnames"}
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    again = set_up(wordnet_dict, tmp_path / "nltk_data")
    assert not again.made
    assert {path: path.stat().st_mtime_ns for path in again.folder.iterdir()} == stamps
    assert [path.name for path in first.folder.parent.iterdir()] == ["wordnet"]


def test_lexnames_are_those_that_the_data_files_number(wordnet_dict: Path) -> None:
    """The top of the nouns is in file 03, the verb "breathe" in 29, and so on: as the dictionary's own lines say."""
    numbered = [line.split("\t") for line in wordnet_files.lexnames().splitlines()]
    assert [int(number) for number, _, _ in numbered] == list(range(45))
    letters = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
    for part, digit in letters.items():
        used = {
            line[9:11] for line in (wordnet_dict / f"data.{part}").read_text("ascii").splitlines() if line[:1] != " "
        }
        assert used == {number for number, name, shown in numbered if shown == digit and name.startswith(part)}
    lines = (wordnet_dict / "data.noun").read_text("ascii").splitlines()
    files = {line[:8]: numbered[int(line[9:11])][1] for line in lines if line[:1] != " "}
    assert files["00001740"] == "noun.Tops"  # entity
    assert files["02084071"] == "noun.animal"  # dog
    assert files["02958343"] == "noun.artifact"  # car
    assert files["07739125"] == "noun.food"  # apple


@pytest.mark.parametrize("form", ["folder above", "zip", "zip above", "NLTK folder"])
def test_it_is_taken_from_every_form_it_comes_in(form: str, wordnet_dict: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    if form == "folder above":
        (origin / "dict").parent.mkdir()
        (origin / "dict").symlink_to(wordnet_dict)
    elif form == "NLTK folder":
        set_up(wordnet_dict, origin)
    else:
        archive = origin / "corpora" / "wordnet.zip"
        archive.parent.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as opened:
            for name in wordnet_files.SIZES:
                opened.write(wordnet_dict / name, f"wordnet/{name}")
            opened.writestr("../../evil", "x")
        origin = archive if form == "zip" else origin
    assert set_up(origin, tmp_path / "to").made
    assert wordnet_files.faults(tmp_path / "to" / "corpora" / "wordnet") == ""
    assert not list(tmp_path.rglob("evil"))


def test_what_is_not_wordnet_3_0_is_refused_and_leaves_nothing(dict_folder: Path, tmp_path: Path) -> None:
    data = (dict_folder / "data.adv").read_bytes()
    for name, bad, message in (
        ("data.adv", data.replace(b"WordNet 3.0 Copyright", b"WordNet 3.1 Copyright"), "version 3.1"),
        ("data.adv", data[:-700], "is cut"),
        ("data.adv", data.replace(b"\n", b"\r\n"), "is cut, or its line ends"),
        ("data.adv", b"", "version unknown"),
        ("adv.exc", b"best well\n", "adv.exc has 1 lines; version 3.0 has 7"),
    ):
        good = (dict_folder / name).read_bytes()
        replace(dict_folder, name, bad)
        with pytest.raises(DataError, match=message):
            set_up(dict_folder, tmp_path / "to")
        replace(dict_folder, name, good)
    (dict_folder / "index.sense").unlink()
    with pytest.raises(DataError, match=r"lacks index\.sense.*wordnet-sense-index"):
        set_up(dict_folder, tmp_path / "to")
    (tmp_path / "empty").mkdir()
    for origin, message in (
        (tmp_path / "none", "There is no folder or zip"),
        (tmp_path / "empty", r"holds no data\.noun"),
        (dict_folder / "adv.exc", "is no zip"),
    ):
        with pytest.raises(DataError, match=message):
            set_up(origin, tmp_path / "to")
    assert not list((tmp_path / "to").rglob("*")) or not list((tmp_path / "to" / "corpora").iterdir())


def test_a_damaged_copy_is_replaced(wordnet_dict: Path, tmp_path: Path) -> None:
    folder = set_up(wordnet_dict, tmp_path).folder
    (folder / "data.noun").write_bytes((folder / "data.noun").read_bytes()[:1000])
    assert set_up(wordnet_dict, tmp_path).made
    assert wordnet_files.faults(folder) == ""
    assert [path.name for path in folder.parent.iterdir()] == ["wordnet"]


def test_a_copy_that_fails_half_way_leaves_what_was_there(
    wordnet_dict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = set_up(wordnet_dict, tmp_path).folder
    (folder / "lexnames").unlink()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(DataError, match=r"cannot be written \(No space left"):
        set_up(wordnet_dict, tmp_path)
    assert [path.name for path in folder.parent.iterdir()] == ["wordnet"]
    assert (folder / "data.noun").is_file()


def test_a_folder_that_may_not_be_written_is_said_so(wordnet_dict: Path, tmp_path: Path) -> None:
    (tmp_path / "corpora").write_text("a file", encoding="utf-8")
    with pytest.raises(DataError, match=r"--to DIR"):
        set_up(wordnet_dict, tmp_path)


def test_nltk_downloads_where_no_folder_is_named(
    wordnet_dict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk.data
    from nltk.downloader import Downloader

    asked = []

    def download(self: Downloader, name: str, to: str, **_: object) -> bool:
        asked.append(name)
        (Path(to) / "corpora").mkdir()
        with zipfile.ZipFile(Path(to) / "corpora" / "wordnet.zip", "w") as opened:
            for file in wordnet_files.SIZES:
                opened.write(wordnet_dict / file, f"wordnet/{file}")
        return True

    monkeypatch.setattr(Downloader, "download", download)
    before = list(nltk.data.path)
    assert set_up(None, tmp_path / "to").made
    assert asked == ["wordnet"]
    assert nltk.data.path == before

    def offline(*_: object, **__: object) -> bool:
        raise ValueError("Error loading wordnet: no route to host")

    monkeypatch.setattr(Downloader, "download", offline)
    with pytest.raises(DataError, match=r"no route to host.*setup --from DIR"):
        set_up(None, tmp_path / "other")
    assert nltk.data.path == before


# Finding it.


def test_it_is_found_under_the_data_root_and_on_nltks_path(
    nltk_data: Path, tmp_path: Path, no_wordnet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_wordnet() is None
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    assert find_wordnet() is None
    with pytest.raises(DataError, match=r"^Nouns needs WordNet 3.0, which is not at hand\. Bring it"):
        need_wordnet("Nouns")
    (tmp_path / "nltk_data").symlink_to(nltk_data)
    found = find_wordnet()
    assert found is not None
    assert found.version == "3.0"
    assert need_wordnet("Nouns") is found
    monkeypatch.undo()
    monkeypatch.delenv("OPENMMLO_DATA", raising=False)
    monkeypatch.setenv("NLTK_DATA", os.pathsep.join(["", str(tmp_path / "none"), str(nltk_data)]))
    assert find_wordnet() is not None


def test_another_version_is_passed_over_and_named(
    dict_folder: Path, tmp_path: Path, no_wordnet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(dict_folder, "data.adv", (dict_folder / "data.adv").read_bytes().replace(b"t 3.0 C", b"t 3.1 C"))
    (dict_folder / "lexnames").write_text(wordnet_files.lexnames(), encoding="ascii")
    (tmp_path / "nltk_data" / "corpora").mkdir(parents=True)
    (tmp_path / "nltk_data" / "corpora" / "wordnet").symlink_to(dict_folder)
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    assert find_wordnet() is None
    with pytest.raises(DataError, match=r"data\.adv is of version 3\.1.*openmmlo wordnet setup"):
        need_wordnet("The audit")


# Asking it.


def test_nouns_are_words_whose_most_frequent_sense_is_one(wordnet: WordNet) -> None:
    assert [word for word in NOUNS.split() if not wordnet.is_noun(word)] == []
    assert [word for word in NOT_NOUNS.split() if wordnet.is_noun(word)] == []
    assert not wordnet.is_noun("")


def test_nouns_agree_with_counts_read_by_hand(wordnet: WordNet, wordnet_dict: Path) -> None:
    """For lemmas as they stand: of the lines of index.sense the one with the greatest tag count is a noun's."""
    best: dict[str, tuple[int, int]] = {}
    for line in (wordnet_dict / "index.sense").read_text("ascii").splitlines():
        sense, _, _, count = line.split()
        lemma, _, rest = sense.partition("%")
        part = {"1": 0, "2": -1, "3": -2, "5": -2, "4": -3}[rest[0]]
        best[lemma] = max(best.get(lemma, (-1, -9)), (int(count), part))
    words = random.Random(0).sample([lemma for lemma in best if lemma.isalpha() and len(lemma) > 6], 3000)
    morphed = [word for word in words if word.endswith(("s", "ing", "ed", "er", "est", "men"))]
    checked = [word for word in words if word not in morphed]
    assert len(checked) > 1500
    assert {word: wordnet.is_noun(word) for word in checked} == {word: best[word][1] == 0 for word in checked}


def test_a_million_questions_are_cheap(wordnet: WordNet) -> None:
    words = (NOUNS + " " + NOT_NOUNS).split()
    for word in words:
        wordnet.is_noun(word)
    started = time.process_time()
    for _ in range(1_000_000 // len(words)):
        for word in words:
            wordnet.is_noun(word)
    assert time.process_time() - started < 2


def test_synsets_are_imagenets_ids(wordnet: WordNet) -> None:
    panda = wordnet.synset("n02509815")
    assert panda.lemma_names()[:4] == ["lesser_panda", "red_panda", "panda", "bear_cat"]
    for wnid in ("n02509816", "n00000000", "n99999999", "02509815", "v02509815", "n2509815", "panda", "", "n٠٢٥٠٩٨١٥"):
        with pytest.raises(KeyError):
            wordnet.synset(wnid)


def test_hypernyms_go_up_every_way_to_the_top(wordnet: WordNet) -> None:
    dog = wordnet.senses("dog")[0]
    above = [synset.name() for synset in wordnet.hypernyms(dog)]
    assert set(above) == {synset.name() for path in dog.hypernym_paths() for synset in path} - {"dog.n.01"}
    assert len(above) == len(set(above))
    assert {"canine.n.02", "domestic_animal.n.01", "entity.n.01"} <= set(above)
    assert [synset.name() for synset in wordnet.hypernyms(wordnet.senses("Paris")[0])][-1] == "entity.n.01"


def test_senses_are_of_base_forms_in_their_order(wordnet: WordNet) -> None:
    assert wordnet.senses("school buses")[0].name() == "school_bus.n.01"
    assert wordnet.senses("geese") == wordnet.senses("goose")
    assert wordnet.senses("") == wordnet.senses("  ") == wordnet.senses("zzyzx") == []


def test_share_is_one_for_the_main_sense(wordnet: WordNet) -> None:
    assert wordnet.share("dog", wordnet.senses("dog")[0]) == 1
    assert wordnet.share("toy", wordnet.synset("n02085374")) < 0.5  # toy dog
    assert 0 < wordnet.share("way", wordnet.synset("n04564698")) < 0.5  # way as a road


def test_it_travels_to_other_processes(wordnet: WordNet) -> None:
    assert pickle.loads(pickle.dumps(wordnet)).root == wordnet.root  # noqa: S301 - our own object


# On the command line.


def test_setup_on_the_command_line(
    wordnet_dict: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    assert main(["wordnet", "setup", "--from", str(wordnet_dict)]) == 0
    assert "has been laid out" in capsys.readouterr().out
    assert main(["wordnet", "setup", "--from", str(wordnet_dict), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "nltk_data" / "corpora" / "wordnet")
    assert (told["made"], told["found"], told["version"]) == (False, True, "3.0")
    assert main(["wordnet", "setup", "--from", str(wordnet_dict), "--to", str(tmp_path / "elsewhere")]) == 0
    assert "NLTK_DATA=" in capsys.readouterr().out
    assert main(["wordnet", "setup", "--from", str(tmp_path / "none"), "--to", str(tmp_path / "x")]) == 2
    assert "There is no folder or zip" in capsys.readouterr().err
