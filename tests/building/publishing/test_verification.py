"""Every kind of damage is planted, most with hashes that still agree, and found; a whole data set has none."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import rewrite, settle, write_manifest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from openmmlo.building import BuildConfig, build
from openmmlo.building.publishing import verify
from openmmlo.building.publishing.problems import Problems
from openmmlo.building.publishing.rows import spans_agree
from openmmlo.cli import main
from openmmlo.data import open_dataset
from openmmlo.errors import DataError
from openmmlo.records import Caption

FIRST = "data/train-00000-of-00003.parquet"
OPEN = "data/open-00000-of-00003.parquet"

Damage = Callable[[Path], None]


def _row(number: int, file: str = FIRST, /, **cells: Any) -> Damage:
    """Change cells of one row; hashes agree afterwards."""

    def change(rows: list[dict[str, Any]]) -> None:
        rows[number] |= cells

    return lambda folder: rewrite(folder, file, change)


def _rows(change: Callable[[list[dict[str, Any]]], Any], path: str = FIRST) -> Damage:
    return lambda folder: rewrite(folder, path, lambda rows: change(rows) and None)


def _json(name: str, change: Callable[[Any], Any]) -> Damage:
    def damage(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return damage


def _manifest(change: Callable[[Any], Any]) -> Damage:
    """Change the manifest; the card follows."""

    def damage(folder: Path) -> None:
        manifest = open_dataset(folder).manifest
        change(manifest)
        write_manifest(folder, manifest)

    return damage


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def _text(name: str, change: Callable[[str], str]) -> Damage:
    return _bytes(name, lambda data: change(data.decode()).encode())


def _flip(name: str, at: int) -> Damage:
    return _bytes(name, lambda data: data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :])


def _other_image(rows: list[dict[str, Any]]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32)).save(buffer, "PNG")
    rows[4]["image"]["bytes"] = buffer.getvalue()


def _broken_image(rows: list[dict[str, Any]]) -> None:
    data = rows[4]["image"]["bytes"]
    data = data[: len(data) // 2]
    rows[4]["image"]["bytes"] = data
    rows[4]["sha256"] = hashlib.sha256(data).hexdigest()


def _column_type(folder: Path) -> None:
    table = pq.read_table(folder / FIRST)
    place = table.schema.get_field_index("width")
    pq.write_table(table.set_column(place, "width", table.column("width").cast(pa.int64())), folder / FIRST)
    settle(folder, FIRST)


def _class_metadata(folder: Path) -> None:
    table = pq.read_table(folder / FIRST)
    stated = table.schema.metadata[b"huggingface"].replace(b"umbrella", b"parasols")
    pq.write_table(table.replace_schema_metadata({"huggingface": stated}), folder / FIRST)
    settle(folder, FIRST)


def _add_broader(lexicon: dict[str, Any]) -> None:
    lexicon["entries"]["c1"].append(["thing", "y"])


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a flipped bit": (_flip(FIRST, 5000), "SHA-256 is another"),
    "a cut file": (_bytes(FIRST, lambda data: data[:-9]), "bytes, the manifest says"),
    "no parquet at all": (_bytes(FIRST, lambda data: b"x"), "cannot be read as parquet"),
    "a missing file": (lambda folder: (folder / FIRST).unlink(), "is missing"),
    "a file too many": (lambda folder: shutil.copy(folder / FIRST, folder / "m.parquet") and None, "does not list"),
    "a row too few": (_rows(lambda rows: rows.pop()), "its files together 59"),
    "a row twice": (_rows(lambda rows: rows.append(rows[0])), "more than once"),
    "a column of another type": (_column_type, "columns or their types"),
    "other class names in a file": (_class_metadata, "huggingface metadata"),
    "an empty cell": (_row(3, caption=None), "has empty cells"),
    "another sample id": (_row(3, sample_id="train/999999"), "do not give its list hash"),
    "a sample id of another split": (_row(3, sample_id="open/000001"), "more than once"),
    "another label": (_row(3, label=0), "not of one class"),
    "a label that is no class": (_row(3, label=9), "no class"),
    "out of distribution by label alone": (_row(3, label=-1), "its class is in distribution"),
    "a class key of another class": (_row(3, class_key="c0"), "not of one class"),
    "an unmasked caption": (
        _rows(lambda rows: rows[0].update(masked_caption=rows[0]["caption"], spans=[])), "not what the lexicon gives",
    ),
    "another caption": (_row(0, caption="Something else."), "not what the lexicon gives"),
    "spans one off": (_rows(lambda rows: _masked(rows)["spans"][0].update(start=1)), "spans are not where"),
    "the image of another row": (_rows(lambda rows: rows[4].update(image=rows[5]["image"])), "not have the hash"),
    "another image": (_rows(_other_image), "not have the hash"),
    "another file name": (_rows(lambda rows: rows[4]["image"].update(path="x.jpg")), "not that of column path"),
    "another hash": (_row(4, sha256="0" * 64), "not have the hash"),
    "another width": (_row(4, width=49), "another width or height"),
    "swapped sides": (_row(4, width=32, height=48), "another width or height"),
    "another image path of an open image": (_row(1, OPEN, path="elsewhere"), "not that of column path"),
    "rows of the manifest": (_manifest(lambda value: value["files"][0].update(rows=19)), "the manifest says 19"),
    "planned rows": (_manifest(lambda value: value["splits"]["train"].update(planned=61)), "do not add up"),
    "masked rows": (_manifest(lambda value: value["splits"]["test"].update(masked_rows=1)), "masked captions, not 1"),
    "the list hash": (_manifest(lambda value: value["splits"]["test"].update(list_hash="0")), "list hash"),
    "a file listed twice": (_manifest(lambda value: value["files"].append(value["files"][0])), "listed twice"),
    "a file outside": (_manifest(lambda value: value["files"][0].update(path="../x.parquet")), "does not lie in data/"),
    "another format": (_manifest(lambda value: value.update(format=99)), "a newer openmmlo"),
    "a manifest without files": (_json("manifest.json", lambda value: value.pop("files")), "not as a build writes it"),
    "no manifest text": (_text("manifest.json", lambda text: text[:-3]), "cannot be read as JSON"),
    "class keys": (_json("classes.json", lambda value: value["classes"][0].update(key="cX")), "label map hash"),
    "a class name twice": (
        _json("classes.json", lambda value: value["classes"][0].update(name="umbrella")), "stands twice",
    ),
    "training counts": (_json("classes.json", lambda value: value["classes"][0].update(train_count=1)), "train_total"),
    "the licence": (_json("classes.json", lambda value: value.update(licence="mit")), "licence is another"),
    "no classes": (_text("classes.json", lambda text: "{}"), "classes.json"),
    "a word of the lexicon": (_text("lexicon.json", lambda text: text.replace("umbrella", "parasol")), "its hash is"),
    "a broader term of the lexicon": (_json("lexicon.json", _add_broader), "its broader levels are not"),
    "no lexicon": (lambda folder: (folder / "lexicon.json").unlink(), "cannot be read"),
    "a class count": (_text("class_counts.csv", lambda text: text.replace("teapot", "teapots")), "counts of the rows"),
    "a word count": (_text("word_counts.csv", lambda text: text.replace("the", "thy") + "more,1,1\n"), "counts of"),
    "no word counts": (lambda folder: (folder / "word_counts.csv").unlink(), "is missing"),
    "an error row too many": (
        _text("errors.jsonl", lambda text: json.dumps(
            {"sample_id": "a", "split": "train", "class_key": "", "status": "missing", "reason": ""}) + "\n"),
        "1 rows of status missing",
    ),
    "half an error row": (_text("errors.jsonl", lambda text: '{"sample_id"\n'), "not an error row"),
    "the card's numbers": (_text("README.md", lambda text: text.replace("examples: 60", "examples: 61")), "README"),
    "the card's columns": (_text("README.md", lambda text: text.replace("  - spans\n", "")), "configs are not"),
    "no card": (_text("README.md", lambda text: "# hello"), "front matter"),
    "measures of other content": (
        lambda folder: (folder / "stats.json").write_text('{"dataset": "x"}') and None, "measured on other content",
    ),
}  # fmt: skip


def _masked(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["spans"])


def test_a_whole_data_set_has_no_problem(built_once: Path) -> None:
    found = verify(built_once, deep=True)
    assert (found.ok, found.rows, found.files, found.notes) == (True, 180, 9, ())
    assert found.bytes == sum(path.stat().st_size for path in (built_once / "data").iterdir())


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(built: Path, name: str) -> None:
    damage, words = DAMAGES[name]
    damage(built)
    found = verify(built)
    assert words in "\n".join(map(str, found.problems))


def test_a_torn_image_is_found_by_decoding_alone(built: Path) -> None:
    rewrite(built, FIRST, _broken_image)
    problems = "\n".join(map(str, verify(built, deep=True).problems))
    assert "cannot be decoded" in problems
    assert "cannot be decoded" not in "\n".join(map(str, verify(built).problems))


def test_all_damage_is_listed_and_many_rows_make_one_line(built: Path) -> None:
    rewrite(built, FIRST, lambda rows: [row.update(sha256="0" * 64) for row in rows] and None)
    (built / "word_counts.csv").write_text("word\n")
    (built / "lexicon.json").unlink()
    found = verify(built)
    assert [problem.where for problem in found.problems] == ["lexicon.json", FIRST, "word_counts.csv"]
    assert found.problems[1].count == 20
    assert len(found.problems[1].examples) == 5
    assert str(found.problems[1]).endswith(
        "(20 times): train/000000, train/000001, train/000002, train/000003, train/000004, ..."
    )


def test_error_rows_belong_to_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    out = tmp_path / "built"
    options = {"flag": str(flag)}
    config = BuildConfig("stubs:Generated", out, captioner="stubs:Broken", captioner_options=options, prefetch=0)
    build(replace(config, measure=False))
    assert verify(out).problems == ()
    lines = (out / "errors.jsonl").read_text().splitlines()
    assert len(lines) == 30
    (out / "errors.jsonl").write_text(
        "\n".join((lines[0].replace('"class_key": "c2"', '"class_key": "c3"'), *lines[1:]))
    )
    assert "list hash" in str(verify(out).problems[0])
    repeated = json.loads(lines[0]) | {"sample_id": "train/000000"}
    (out / "errors.jsonl").write_text("\n".join((json.dumps(repeated), *lines[1:])))
    assert any("more than once" in problem.what for problem in verify(out).problems)


def test_a_lexicon_of_other_rules_leaves_the_spans_to_check(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmmlo.building.publishing.verification.LEXICON_VERSION", "999")
    found = verify(built)
    assert found.ok
    assert "not masked anew" in found.notes[0]
    rewrite(built, FIRST, lambda rows: _masked(rows)["spans"][0].update(start=1))
    assert "do not turn caption" in str(verify(built).problems[0])


def test_hostile_text_stays_on_its_line(built: Path) -> None:
    evil = "a\n\x1b[31mb\u2028c\r"
    rewrite(built, FIRST, lambda rows: rows[3].update(sample_id=evil, label=9))
    lines = "\n".join(map(str, verify(built).problems))
    assert "\x1b" not in lines
    assert "a\ufffd\ufffd[31mb\ufffdc\ufffd" in lines


def test_memory_holds_a_few_examples() -> None:
    found = Problems()
    for number in range(100_000):
        found.add("file", "broken", f"row {number}" * 100)
    (problem,) = found.listed()
    assert problem.count == 100_000
    assert sum(map(len, problem.examples)) < 1000


def test_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        verify(tmp_path / "none")
    with pytest.raises(DataError, match=r"no manifest\.json"):
        verify(tmp_path)


def test_the_command_exits_with_4_and_lists_all(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(built), "--quiet"]) == 0
    assert "all as the manifest says" in capsys.readouterr().out
    rewrite(built, FIRST, lambda rows: rows[3].update(label=9))
    assert main(["verify", str(built), "--quiet"]) == 4
    assert "its label is no class" in capsys.readouterr().out
    assert main(["verify", str(built), "--quiet", "--json"]) == 4
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["problems"][0]["examples"] == ["train/000003"]
    assert main(["verify", str(built / "data"), "--quiet"]) == 2


@given(
    pieces=st.lists(st.text("abs [mk]", max_size=6), min_size=1, max_size=5),
    names=st.lists(st.text("xys", min_size=1, max_size=4), min_size=5, max_size=5),
    plural=st.lists(st.booleans(), min_size=5, max_size=5),
    noise=st.integers(0, 3),
)
def test_spans_agree_exactly_where_they_rebuild_the_text(
    pieces: list[str], names: list[str], plural: list[bool], noise: int
) -> None:
    """Held to building the text anew with every choice of singular and plural."""
    text = masked = pieces[0]
    spans = []
    for piece, name, many in zip(pieces[1:], names, plural, strict=False):
        spans.append((len(text), len(text) + len(name)))
        text += name + piece
        masked += ("[mask]s" if many else "[mask]") + piece
    masked = masked[:-noise] if noise else masked
    assert spans_agree(Caption("a", text, masked, tuple(spans))) == _rebuilds(text, masked, spans)


def _rebuilds(text: str, masked: str, spans: list[tuple[int, int]]) -> bool:
    results = {""}
    done = 0
    for start, end in spans:
        results = {made + text[done:start] + mask for made in results for mask in ("[mask]", "[mask]s")}
        done = end
    return masked in {made + text[done:] for made in results}
