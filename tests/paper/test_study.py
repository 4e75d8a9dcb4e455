"""A study with viewers: nothing tells a film's method, answers are kept once, and chance is called chance."""

import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from training.captured.dataset import DataSet
from training.study.__main__ import main
from training.study.judging import preferences
from training.study.making import read_study
from training.study.serving import server_of


@pytest.fixture
def study(brief, tmp_path):
    data = DataSet(brief)
    for name, lift in (("ours", 0.0), ("theirs", 0.002)):
        folder = tmp_path / name
        folder.mkdir()
        for clip in data.split("test"):
            np.save(
                folder / f"{clip.name}_condition_S01.npy", data.vertices(clip)[:6].repeat(4, 0)[:20] + np.float32(lift)
            )
    told = [f"ours={tmp_path / 'ours'}", f"theirs={tmp_path / 'theirs'}", "captured"]
    out = tmp_path / "study"
    assert main(["make", *told, "--data", str(brief), "--clips", "2", "--out", str(out)]) == 0
    return out


def answers_of(study, chooses, rater="r1", pairs=None):
    told = []
    for number, (left, right) in enumerate(study.pairs if pairs is None else study.pairs[:pairs]):
        film = chooses(number, left, right)
        told.append({"pair": number, "left": left, "right": right, "chosen": dict.fromkeys(study.questions, film)})
    return {"rater": rater, "answers": told}


def prefers(study, method):
    return lambda _, left, right: right if study.films[right][0] == method else left


def test_films_tell_nothing_but_the_face(study):
    key, public = read_study(study), study / "public"
    assert len(key.pairs) == 2 * 3 and len(key.films) == 6
    assert {p.stem for p in (public / "films").iterdir()} == set(key.films)
    shown = (public / "study.json").read_text() + (public / "index.html").read_text()
    assert not any(word in shown for word in ("ours", "theirs", "captured", "sentence0"))
    for film, (method, clip) in key.films.items():
        assert method.encode() not in (content := (public / "films" / f"{film}.mp4").read_bytes())
        assert clip.encode() not in content
    assert all(key.films[a][1] == key.films[b][1] and key.films[a][0] != key.films[b][0] for a, b in key.pairs)


def test_a_study_is_not_made_over_another(study, brief, tmp_path, capsys):
    told = [f"ours={tmp_path / 'ours'}", "captured", "--data", str(brief), "--out", str(study)]
    assert main(["make", *told]) == 2 and "holds a study" in capsys.readouterr().err
    assert main(["make", "ours", "captured", "--data", str(brief), "--out", str(tmp_path / "x")]) == 2
    assert main(["make", "captured", "--data", str(brief), "--out", str(tmp_path / "x")]) == 2


def test_the_page_is_served_and_answers_are_kept_once(study, capsys):
    key = read_study(study)
    with server_of(study, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert b"Which face" in urllib.request.urlopen(address, timeout=30).read()
        film = next(iter(key.films))
        assert len(urllib.request.urlopen(f"{address}/films/{film}.mp4", timeout=30).read()) > 500

        def post(content, path="answers"):
            try:
                return urllib.request.urlopen(f"{address}/{path}", json.dumps(content).encode(), timeout=30).status
            except urllib.error.HTTPError as error:
                return error.code

        good = answers_of(key, prefers(key, "ours"))
        assert [post(good), post(good), post(good, "key.json")] == [204, 409, 404]
        assert post({**good, "rater": "../x"}) == 400 and post({"rater": "r2", "answers": [{"pair": 99}]}) == 400
        for hidden in ("key.json", "../key.json", "answers/r1.json"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{address}/{hidden}", timeout=30)
        server.shutdown()
        thread.join()
    assert [p.name for p in (study / "answers").iterdir()] == ["r1.json"]
    assert main(["report", str(study)]) == 0
    assert "one viewer decides nothing" in capsys.readouterr().out


def test_preferences_count_viewers_and_answers(study, capsys):
    key = read_study(study)
    assert main(["report", str(study)]) == 2 and "no answers" in capsys.readouterr().err
    kept = [answers_of(key, prefers(key, "ours"), f"r{k}")["answers"] for k in range(8)]
    found = {(p.question, p.first, p.second): p for p in preferences(key, kept)}
    best = found["lips", "ours", "theirs"]
    assert (best.share, best.answers, best.raters, best.words) == (1.0, 16, 8, "ours preferred")
    assert best.p == pytest.approx(2 / 2**8), "of viewers, who agree with themselves, not of answers"
    few = {(p.question, p.first, p.second): p for p in preferences(key, kept[:2])}["lips", "ours", "theirs"]
    assert (few.share, few.p, few.words) == (1.0, 0.5, "within noise")
    # Many answers of two viewers who disagree are no preference.
    split = [answers_of(key, prefers(key, name), name)["answers"] for name in ("ours", "theirs")]
    torn = {(p.question, p.first, p.second): p for p in preferences(key, split)}["lips", "ours", "theirs"]
    assert torn.share == 0.5 and torn.words == "within noise"
    (study / "answers").mkdir()
    for k in range(3):
        told = answers_of(key, prefers(key, "ours"), f"r{k}")
        (study / "answers" / f"r{k}.json").write_text(json.dumps(told))
    (study / "answers" / "lazy.json").write_text(json.dumps(answers_of(key, prefers(key, "ours"), "lazy", 2)))
    (study / "answers" / "odd.json").write_text("{}")
    assert main(["report", str(study)]) == 0
    text = (study / "report.md").read_text()
    assert "3 viewers, 6 pairs" in text and "lazy.json: 2 of 6 pairs" in text and "odd.json: no answers" in text


def test_what_is_no_study_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no study"):
        read_study(tmp_path)
