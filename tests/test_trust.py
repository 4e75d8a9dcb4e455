"""What comes from outside is checked at the door: files, checkpoints and messages end in one sentence, never worse."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.archives import parsed
from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.checkpoint import Checkpoint, load_checkpoint, moves_vertices, save_checkpoint
from kmtalk_core.command import cli
from kmtalk_core.command.endings import DETAILS
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import load_npz, save_npz
from kmtalk_core.finish.compose import finish
from kmtalk_core.motion import KeyMotions
from kmtalk_core.results import (
    load_animation,
    load_keys,
    load_result,
    pack_finished,
    save_animation,
    unpack_finished,
)
from kmtalk_core.service.protocol import decode_request
from kmtalk_core.settings import Sliders

DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def result(animator):
    rng = np.random.default_rng(0)
    sound = Sound((0.1 * rng.standard_normal(2 * SAMPLE_RATE)).astype(np.float32), "0" * 64, "noise.wav")
    return animator.animate(sound, Request(localizer="uniform"))


@pytest.fixture
def arrays(result, tmp_path):
    save_animation(result, tmp_path / "good.npz")
    return load_npz(tmp_path / "good.npz")


def changed(value, change):
    out = np.array(value)
    change(out)
    return out


def first(value):
    def put(array):
        array[(0,) * array.ndim] = value

    return put


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, first(np.nan)) for name in ("features", "controls", "key_controls", "speech", "prosody", "times")),
        *((name, first(np.inf)) for name in ("phone_starts", "key_times", "contact_free", "duration", "fps")),
        ("controls", first(1e6)),
        ("contact_frames", first(-1)),
        ("contact_frames", first(10**9)),
        ("times", lambda times: times.__setitem__(slice(None), times[::-1].copy())),
        ("phone_ends", first(-5.0)),
        ("phone_ends", first(1e5)),
        ("duration", first(1e5)),
        ("key_times", first(-1e5)),
    ],
)
def test_every_array_of_a_result_is_checked(arrays, tmp_path, name, change):
    if not arrays[name].size:
        arrays |= {"contact_frames": np.zeros(1, int), "contact_free": arrays["controls"][:1]}
    save_npz({**arrays, name: changed(arrays[name], change)}, tmp_path / "bad.npz")
    with pytest.raises(InputError, match="damaged"):
        load_result(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "wrong",
    [
        {"speech": lambda a: a[:, :3]},
        {"key_edited": lambda a: a[1:]},
        {"prosody": lambda a: a[:5]},
        {"phone_labels": lambda a: np.array(["XX"] * len(a))},
        {"control_names": lambda a: np.array(["jawOpen"] * len(a))},
        {"controls": lambda a: a.astype(complex)},
        {"settings": lambda a: np.array(DEEP)},
        {"settings": lambda a: np.array('{"sliders": {"jaw": 1e999}, "layers": {}}')},
        {"settings": lambda a: np.array('{"sliders": {"jaw": [1]}, "layers": []}')},
        {"settings": lambda a: np.array(f'{{"sliders": {{}}, "layers": {{"seed": {"9" * 10_000}}}}}')},
        {"origin": lambda a: np.array("3")},
        {"times": lambda a: a[:0]},
    ],
)
def test_arrays_of_a_result_fit_together(arrays, tmp_path, wrong):
    ((name, change),) = wrong.items()
    save_npz({**arrays, name: change(arrays[name])}, tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"bad\.npz is damaged"):
        load_result(tmp_path / "bad.npz")
    assert cli.main(["export", str(tmp_path / "bad.npz"), "--out", str(tmp_path / "a.csv")]) == 2


def test_zip_bombs_are_refused_unread(arrays, tmp_path):
    """Four megabytes of nothing that say they are four gigabytes; what nobody asks for is not read at all."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9,)})
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", header.getvalue() + bytes(10**6))
    with pytest.raises(InputError, match=r"unpack to 4\.0 GB"):
        load_npz(bomb)
    with pytest.raises(InputError, match=r"unpack to 4\.0 GB"):
        load_result(bomb)
    save_npz(arrays, tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("unknown.npy", header.getvalue() + bytes(10**6))
    assert load_animation(tmp_path / "a.npz").model
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("key_times.npy", header.getvalue().replace(b"1000000000", b"1000      ") + bytes(100))
    with pytest.raises(InputError, match="damaged or of another format"):
        load_keys(tmp_path / "short.npz", ("jawOpen",))


def test_what_completion_gives_is_checked_before_it_is_written(animator, result, tmp_path):
    damaged = replace(result, features=np.full_like(result.features, np.nan))
    edited = result.keys.controls.copy()
    edited[2] = 0.5
    with pytest.raises(KMTalkError, match="not finite"):
        animator.complete(damaged, KeyMotions(result.keys.times, edited))
    with pytest.raises(KMTalkError, match="was not written"):
        save_animation(damaged, tmp_path / "a.npz")
    narrow = replace(result, features=result.features[:, :3])
    with pytest.raises(KMTalkError, match="networks cannot work"):
        animator.complete(narrow, KeyMotions(result.keys.times, edited))
    assert not (tmp_path / "a.npz").exists()


def test_far_and_endless_keys_are_refused_at_once(animator, result):
    pose = result.keys.controls[:1]
    for time in (1e9, -1e9):
        with pytest.raises(InputError, match="far outside"):
            animator.complete(result, KeyMotions(np.array([time]), pose))
    many = np.linspace(0, 2, 1000)
    with pytest.raises(InputError, match="denser than 240"):
        animator.complete(result, KeyMotions(many, np.repeat(pose, len(many), 0)))
    KeyMotions(np.arange(2000) / 240, np.zeros((2000, 1), np.float32)).check_near(9.0)
    with pytest.raises(InputError, match=r"1e\+09; controls"):
        animator.complete(result, KeyMotions(np.zeros(1), pose + 1e9))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, config={k: v for k, v in c.config.items() if k != "dimensions"}),
        lambda c: replace(c, config={**c.config, "dimensions": {"feature_rate": 1e9}}),
        lambda c: replace(c, config={**c.config, "controls": None}),
        lambda c: replace(c, config={**c.config, "name": 3}),
        lambda c: replace(c, graphs={k: g for k, g in c.graphs.items() if k != "cmc"}),
        lambda c: replace(c, graphs={k: replace(g, model=b"no graph") for k, g in c.graphs.items()}),
        lambda c: replace(c, weights={k: w[..., :1] for k, w in c.weights.items()}),
        lambda c: replace(c, weights={}),
    ],
)
def test_a_checkpoint_with_a_right_checksum_over_wrong_contents(change, tmp_path):
    save_checkpoint(change(load_checkpoint()), tmp_path / "c.npz")
    with pytest.raises(KMTalkError, match=r"export it again|damaged"):
        rng = np.random.default_rng(0)
        sound = Sound(rng.standard_normal(SAMPLE_RATE).astype(np.float32), "", "")
        Animator(tmp_path / "c.npz").animate(sound, Request(localizer="uniform"))


def test_checkpoints_whose_configuration_is_none(tmp_path):
    save_npz({"config": np.array(DEEP)}, tmp_path / "c.npz")
    assert not moves_vertices(tmp_path / "c.npz") and not moves_vertices(tmp_path / "none.npz")
    assert not moves_vertices(COMPACT_CHECKPOINT)
    with pytest.raises(InputError, match="not a KMTalk checkpoint"):
        load_checkpoint(tmp_path / "c.npz")
    with pytest.raises(InputError, match="checksum"):
        save_npz({"config": np.array("{}"), "sha256": np.array("0")}, tmp_path / "c.npz")
        load_checkpoint(tmp_path / "c.npz")
    save_checkpoint(Checkpoint({}, {}, {}), tmp_path / "c.npz")
    with pytest.raises(InputError, match="export it again"):
        load_checkpoint(tmp_path / "c.npz")


@pytest.mark.parametrize(
    "line",
    [DEEP, '{"id": 1}', '{"id": "x", "op": "ping"}', '{"id": 1, "op": "animate"}', "[]", '{"id": 1, "op": ["a"]}',
     f'{{"id": {"9" * 10_000}, "op": "ping"}}', '{"id": 1, "op": "animate", "audio": "a", "out": "o", "jaw": NaN}'],
)  # fmt: skip
def test_no_message_ends_the_worker(line):
    with pytest.raises(InputError):
        decode_request(line)


def test_json_however_deep_is_a_plain_error():
    assert parsed('{"a": [1]}') == {"a": [1]}
    with pytest.raises(ValueError):
        parsed(DEEP)


def test_faults_of_its_own_are_one_line_and_a_hint(monkeypatch, capsys):
    def fail(*_):
        raise RecursionError("maximum recursion\ndepth exceeded")

    monkeypatch.setattr(cli, "doctor", fail)
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "RecursionError" in said and DETAILS in said and "Traceback" not in said
    monkeypatch.setenv(DETAILS, "1")
    assert cli.main(["doctor", "--progress", "json"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any("Traceback" in line for line in lines) and "RecursionError" in json.loads(lines[-1])["error"]


def test_what_a_blend_keeps_of_a_line_is_checked_too(result):
    finished = finish(result, Sliders(jaw=0.5))
    packed = pack_finished(finished)
    again = unpack_finished(result, packed)
    assert np.array_equal(again.controls, finished.controls) and again.sliders == finished.sliders
    for data in (b"", b"PK", packed[: len(packed) // 2], b"<_io.BytesIO>"):
        with pytest.raises(InputError, match="not a readable") as told:
            unpack_finished(result, data)
        assert "BytesIO" not in str(told.value)
    shorter = replace(result, times=result.times[:-1])
    with pytest.raises(InputError, match="generate it again"):
        unpack_finished(shorter, packed)
    with pytest.raises(InputError, match="not a readable") as told:
        load_animation(io.BytesIO(b"nonsense"))
    assert "BytesIO" not in str(told.value)
