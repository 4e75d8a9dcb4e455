"""Manifests as people have them, and every fault told with its row before anything runs."""

import codecs
import json
import os
import unicodedata
from types import SimpleNamespace

import pytest

from kmtalk_core.command.batch import checks
from kmtalk_core.command.batch.checks import check_space, lines_that_cannot_work
from kmtalk_core.command.batch.line import Line
from kmtalk_core.command.batch.manifest import ManifestError, read_line, read_manifest
from kmtalk_core.command.batch.naming import collisions, from_template, result_name
from kmtalk_core.command.batch.profiles import read_profiles
from kmtalk_core.command.batch.sources import named, read_records
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError, KMTalkError, StorageError
from kmtalk_core.tongues import LANGUAGES, from_tag

ROWS = [["Audio", "Transcript File", "Jaw", "Character"], ["Größe.wav", "a.txt", "0,7", "Anna"]]


def table(rows, separator=";", end="\r\n"):
    return end.join(separator.join(row) for row in rows) + end


@pytest.mark.parametrize(
    "data",
    [
        table(ROWS).encode("utf-8"),
        table(ROWS).encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + table(ROWS, "\t").encode("utf-16-le"),
        table(ROWS).encode("utf-16"),
        table(ROWS).encode("cp1252"),
        table(ROWS, end="\r").encode(),
        table(ROWS, "\t", "\n").encode(),
        ("sep=;\n" + table(ROWS)).encode("utf-8-sig"),
        table([ROWS[0], ["Größe.wav", "a.txt", '"0,7"', "Anna"]], ",").encode(),
        json.dumps([{"audio": "Größe.wav", "transcript_file": "a.txt", "jaw": 0.7, "Character": "Anna"}]).encode(),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, data):
    path = tmp_path / ("m.json" if data.startswith(b"[") else "m.csv")
    path.write_bytes(data)
    (line,) = read_manifest(path)
    assert (line.audio, line.transcript_file) == (tmp_path / "Größe.wav", tmp_path / "a.txt")
    assert (line.jaw, line.character, line.out) == (0.7, "Anna", "Größe.npz")


def test_rows_are_counted_as_the_spreadsheet_does(tmp_path):
    (tmp_path / "m.csv").write_text('audio,transcript\na.wav,"two\nlines"\n,\n\nb.wav,\nc.wav,Hi,more\n')
    with pytest.raises(InputError, match=r"m\.csv, row 6 has more cells"):
        read_records(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text('audio,jaw\na.wav,1\n,\n,\n"b\nb.wav",9\n')
    with pytest.raises(ManifestError, match=r"m\.csv, row 5: jaw 9 is out of range"):
        read_manifest(tmp_path / "m.csv")


def test_all_faults_are_told_at_once(tmp_path):
    rows = ["audio,jaw,language,formats,Notes", "a.wav,5,,,", ",,,,", "b.wav,,klingon,,", "c.wav,,,exe,", ",1,,,x"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / "m.csv")
    told = str(caught.value).splitlines()
    assert [line.partition(": ")[0].rpartition(", ")[2] for line in told] == ["row 2", "row 4", "row 5", "row 6"]
    assert all(line.endswith(".") for line in told)
    (tmp_path / "m.csv").write_text("audio,jaw\n" + "a.wav,5\n" * 200)
    with pytest.raises(ManifestError, match="There are 150 faults more"):
        read_manifest(tmp_path / "m.csv")


def test_columns_of_ones_own_are_kept_and_misspelt_ones_are_not(tmp_path):
    (tmp_path / "m.csv").write_text("audio,Actor,take number\na.wav,Meryl,3\n")
    (line,) = read_manifest(tmp_path / "m.csv")
    assert line.own == (("actor", "Meryl"), ("take_number", "3"))
    for wrong, meant in (("transcripts", "transcript"), ("intensty", "intensity"), ("keyrule", "key_rule")):
        (tmp_path / "m.csv").write_text(f"audio,{wrong}\na.wav,x\n")
        with pytest.raises(InputError, match=f"is {meant} meant"):
            read_manifest(tmp_path / "m.csv")
    assert named("Key-Rule ") == named("key  rule") == "key_rule"


def test_a_folder_of_sounds_is_a_manifest(tmp_path):
    for name in ("b/1.WAV", "b/1.srt", "a.flac", "a.txt", "notes.txt", ".hidden.wav", "c.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    lines = read_manifest(tmp_path)
    assert [(line.out, line.transcript_file and line.transcript_file.name) for line in lines] == [
        ("a.npz", "a.txt"), ("b/1.npz", "1.srt"), ("c.npz", None),
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="are no sounds"):
        read_manifest(tmp_path / "empty")


def test_profiles_and_options_are_defaults(tmp_path):
    """A cell wins over the profile, that over the character, that over the option."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "cast.toml").write_text(
        '[characters.Anna]\nmesh = "anna.obj"\nvertices = true\njaw = 0.8\nlips = 0.8\nformats = ["csv", "mdd"]\n'
        "[profiles.shout]\nlips = 1.5\nintensity = 1.4\n"
    )
    (tmp_path / "m.csv").write_text("audio,character,profile,intensity\na.wav,Anna,shout,2\nb.wav,,,\n")
    anna, other = read_manifest(
        tmp_path / "m.csv", {"jaw": "0.1", "seed": "7"}, read_profiles(tmp_path / "p" / "cast.toml")
    )
    assert (anna.intensity, anna.lips, anna.jaw, anna.seed) == (2.0, 1.5, 0.8, 7)
    assert anna.mesh == tmp_path / "p" / "anna.obj" and anna.outputs == ("a.npz", "a.csv", "a.mdd")
    assert (other.intensity, other.lips, other.jaw, other.mesh) == (1.0, 1.0, 0.1, None)
    with pytest.raises(InputError, match="no profile 'shout'"):
        read_manifest(tmp_path / "m.csv")
    for text, told in (("[people.A]", "no part 'people'"), ("x", "readable TOML"), ("[characters]\nA = 1", "a table")):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(InputError, match=told):
            read_profiles(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("[characters.A]\nvolume = 3\n")
    with pytest.raises(InputError, match=r"profile A: the column 'volume' is unknown"):
        read_manifest(tmp_path / "m.csv", profiles=read_profiles(tmp_path / "bad.toml"))


def test_names_that_files_cannot_have_everywhere_are_refused(tmp_path):
    for name, why in (
        ("CON", "Windows"), ("a/aux.txt", "Windows"), ("a./b", "Windows"), ("b:c", "Windows"), ("b /c", "Windows"),
        ("ä" * 126, "too long"), ("report", "the batch itself"), ("report.1-of-8", "the batch itself"),
    ):  # fmt: skip
        path = tmp_path / "m.csv"
        path.write_text(f"audio,out,formats\na.wav,{name},csv\nsay who?.wav,fine,\nsay who?.wav,,\n", encoding="utf-8")
        with pytest.raises(InputError, match=f"row 2: .*{why}.*column out") as told:
            read_manifest(path)
        assert len(set(str(told.value).splitlines())) <= 2 and "row 3" not in str(told.value)
    path.write_text("audio,out,formats\na.wav,a.curves,json\na.wav,a,curves.json\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"row 3: a\.curves\.json is what row 2 writes too"):
        read_manifest(path)


def test_names_from_templates(tmp_path):
    assert from_template("{scene}/{who}_{ line }", {"scene": "1: a/b?", "who": "Ann.", "line": "7"}) == "1_ a_b_/Ann_7"
    for template, told in (("{no}", "no such column"), ("{a}", "which is empty"), ("{a", "without its partner")):
        with pytest.raises(InputError, match=told):
            from_template(template, {"a": ""})
    (tmp_path / "m.csv").write_text("audio,out,line,language,Actor\nx/a.wav,,7,de-AT,M\nb.wav,own,8,,\n")
    lines = read_manifest(tmp_path / "m.csv", template="{language}/{number}_{audio}_{actor}")
    assert [line.out for line in lines] == ["de/1_a_M.npz", "own.npz"]
    for name in ("../a", "/a", "a/../../b", "..\\a", "C:/a" if os.name == "nt" else "/a"):
        with pytest.raises(InputError, match="leads out of the output folder"):
            result_name(name)


def test_outputs_that_clash_are_found(tmp_path):
    accented = unicodedata.normalize("NFD", "é.npz")
    names = ["a.npz", "A.NPZ", "b/c.npz", "d.npz", "B/C.npz", "d.npz/x.npz", "x/y.npz", "x", "é.npz", accented]
    assert list(collisions(names)) == [(0, 1), (2, 4), (3, 5), (6, 7), (8, 9)]
    (tmp_path / "m.csv").write_text("audio\nx/Hello.wav\ny/hello.wav\n")
    with pytest.raises(ManifestError, match=r"row 3: hello\.npz is what row 2 writes too"):
        read_manifest(tmp_path / "m.csv")


def test_languages_by_their_tags(tmp_path):
    tags = {
        "de-AT": "de", "en_US": "en", "pt-BR": "pt-br", "pt-PT": "pt", "es-MX": "es-419", "es-ES": "es", "nn-NO": "nb",
        "zh-Hans-CN": "cmn", "und": "any", "FR": "fr",
    }  # fmt: skip
    assert {tag: from_tag(tag) for tag in tags} == tags
    assert [from_tag(code) for code in LANGUAGES] == list(LANGUAGES)
    assert read_line({"audio": "a.wav", "language": "de-CH"}, "row 1", tmp_path).language == "de"


def test_lines_that_cannot_work_are_known_before(tmp_path, monkeypatch):
    good = tmp_path / "good.wav"
    good.write_bytes(b"x")
    (tmp_path / "empty.wav").touch()
    os.mkfifo(tmp_path / "pipe.wav")
    lines = [
        Line(audio=good),
        Line(audio=tmp_path / "no.wav"),
        Line(audio=tmp_path / "empty.wav"),
        Line(audio=tmp_path / "pipe.wav"),
        Line(audio=good, transcript_file=tmp_path, language="any"),
        Line(audio=good, transcript="Hallo", language="de"),
        Line(audio=good, transcript="Hallo", language="de", alignment=good),
    ]
    monkeypatch.setattr(checks, "why_no_languages", lambda: "espeak-ng is missing; install it.")
    told = lines_that_cannot_work(lines)
    assert sorted(told) == [1, 2, 3, 4, 5] and all(sentence.endswith(".") for sentence in told.values())
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: SimpleNamespace(free=2_000_000))
    plain = [Line(audio=good, out="a.npz")] * 10
    check_space(tmp_path / "not" / "yet", plain)
    with pytest.raises(StorageError, match="make some room"):
        check_space(tmp_path, plain * 2)
    with pytest.raises(StorageError, match="needs about 29 MB, but the disk"):
        check_space(tmp_path, [Line(audio=good, out="a.npz", formats=(".glb",))] * 10)
    with pytest.raises(InputError, match="is a file"):
        check_space(good / "x", plain)
    (tmp_path / "a.npz").write_bytes(b"made before")
    check_space(tmp_path, plain * 2)


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "m.csv").write_text("audio,character,Actor\na.wav,Anna,M\nmissing.wav,Bob,N\n")
    assert main(["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), "--dry-run", "--fps", "24"]) == 1
    said, told = capsys.readouterr()
    assert "2 lines: 1 to make, 1 to fail." in said and "Anna 1, Bob 1" in said and "a.npz" in said
    assert "row 3: There is no file" in told and "actor" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{}", "[1]", "[]", '{"lines": 3}', "[" * 100_000, "", "\n\n", "audio\n"])
def test_manifests_without_lines(tmp_path, text):
    for name in ("m.json", "m.csv"):
        (tmp_path / name).write_text(text)
        with pytest.raises(KMTalkError, match=r"m\.(json|csv)"):
            read_manifest(tmp_path / name)


def test_a_cell_of_a_million_characters_is_not_quoted_whole(tmp_path):
    (tmp_path / "m.csv").write_text("audio,jaw,seed\na.wav," + "9" * 10**5 + ",\n")
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path / "m.csv")
    assert len(str(caught.value)) < 500
