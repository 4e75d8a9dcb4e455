"""Alignments to files and back; files of other tools; broken files."""

import json

import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.localization.labels import to_arpabet
from kmtalk_core.localization.textgrid import load_alignment, save_alignment
from kmtalk_core.phones import Alignment, Phone, Word

SHORT = '''File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
3
"IntervalTier"
"words"
0
1.5
3
0
0.5
""
0.5
1
"say ""hé"""
1
1.5
""
"TextTier"
"clicks"
0
1.5
1
0.7
"click 1"
"IntervalTier"
"phones"
0
1.5
4
0
0.5
"sil"
0.5
0.75
"S"
0.75
1
"EY1"
1
1.5
"sp"
'''


@pytest.fixture
def alignment():
    return Alignment.from_segments(
        (Phone("HH", 0.1, 0.2), Phone("AH", 0.2, 1 / 3), Phone("B", 0.5, 0.61234567)),
        (Word('say "hé"', 0.1, 1 / 3), Word("b", 0.5, 0.61234567)),
        2.0,
        "pocketsphinx",
    )


@pytest.mark.parametrize("name", ["x.TextGrid", "x.textgrid", "x.json"])
def test_round_trip(tmp_path, alignment, name):
    save_alignment(alignment, tmp_path / name)
    again = load_alignment(tmp_path / name)
    for one, other in ((alignment.phones, again.phones), (alignment.words, again.words)):
        assert [x.label for x in one] == [x.label for x in other]
        assert [t for x in one for t in (x.start, x.end)] == pytest.approx(
            [t for x in other for t in (x.start, x.end)], abs=1e-6
        )
    assert again.duration == 2.0 and again.source == "imported" and again.warnings == ()


def test_praats_own_reader_agrees(tmp_path, alignment):
    praatio = pytest.importorskip("praatio.textgrid", reason="praatio is not installed")
    save_alignment(alignment, tmp_path / "x.TextGrid")
    grid = praatio.openTextgrid(str(tmp_path / "x.TextGrid"), includeEmptyIntervals=True)
    assert grid.tierNames == ("words", "phones")
    assert [e.label for e in grid.getTier("phones").entries] == ["", "HH", "AH", "", "B", ""]
    grid.save(str(tmp_path / "short.TextGrid"), "short_textgrid", includeBlankSpaces=True)
    assert load_alignment(tmp_path / "short.TextGrid").words == load_alignment(tmp_path / "x.TextGrid").words


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_short_format_with_points_quotes_and_every_encoding(tmp_path, encoding):
    path = tmp_path / "x.TextGrid"
    path.write_bytes(SHORT.encode(encoding))
    loaded = load_alignment(path)
    assert [(p.label, p.start, p.end) for p in loaded.phones] == [
        ("SIL", 0.0, 0.5), ("S", 0.5, 0.75), ("EY", 0.75, 1.0), ("SIL", 1.0, 1.5),
    ]  # fmt: skip
    assert loaded.words == (Word('say "hé"', 0.5, 1.0),)


def test_mfas_json_of_a_named_speaker_in_ipa(tmp_path):
    path = tmp_path / "x.json"
    tiers = {
        "ann - words": {"type": "interval", "entries": [[0.1, 0.5, "cheap"]]},
        "ann - phones": {"type": "interval", "entries": [[0.1, 0.2, "tʃ"], [0.2, 0.4, "iː"], [0.4, 0.5, "pʰ"]]},
    }
    path.write_text(json.dumps({"start": 0, "end": 1.0, "tiers": tiers}))
    loaded = load_alignment(path)
    assert [p.label for p in loaded.phones] == ["SIL", "CH", "IY", "P", "SIL"]
    assert loaded.words == (Word("cheap", 0.1, 0.5),)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["AA1", "b", "ey0", "", "spn", "<eps>", "ax", "dx"], "AA B EY SIL SIL SIL AH D"),
        (["ɐ", "d̪", "kʷ", "m̩", "ɫ̩", "ɝ", "əw", "ç", "ɒː", "bʲ"], "AH D K M L ER OW HH AO B"),
        (["y", "ø", "ʁ", "ts", "ɥ", "β", "ã"], "UW UH R S W V AA"),
        (["dʒ", "aj", "ɔj", "ʔ", "ˈɛ"], "JH AY OY HH EH"),
    ],
)
def test_labels_of_other_tools(labels, expected):
    assert to_arpabet(labels) == (expected.split(), [])


def test_strange_labels_are_told(tmp_path):
    path = tmp_path / "x.TextGrid"
    path.write_text(SHORT.replace("EY1", "Q9#"), encoding="utf-8")
    with pytest.raises(InputError, match="line 42: “Q9#” is no phone of ARPABET, IPA or X-SAMPA; rename it there"):
        load_alignment(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no TextGrid"),
        (b"RIFF1234WAVE", "is no TextGrid"),
        (SHORT[: len(SHORT) // 2].encode(), "is no TextGrid.* or is damaged; export it again"),
        (b'{"tiers": 3}', "is no TextGrid"),
        (b"{", "is no TextGrid"),
        (b'{"end": 1, "tiers": {"phones": {"entries": [[0, NaN, "M"]]}}}', "NaN or infinite"),
        (SHORT.replace('"phones"', '"tones"').replace('"words"', '"notes"').encode(), "has no tier of phones or words"),
    ],
)
def test_broken_files_get_one_sentence(tmp_path, content, message):
    path = tmp_path / "x.TextGrid"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_alignment(path)
    assert "\n" not in str(caught.value)


def test_missing_file_and_wrong_ending(tmp_path, alignment):
    with pytest.raises(InputError, match=r"There is no alignment .*check the path"):
        load_alignment(tmp_path / "none.TextGrid")
    with pytest.raises(InputError, match=r"use \.TextGrid, \.json or \.srt"):
        save_alignment(alignment, tmp_path / "x.xml")
    assert list(tmp_path.iterdir()) == []
