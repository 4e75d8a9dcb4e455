"""A Blender without a window (the bpy module), with the add-on registered and small files to work on."""

import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="Blender as a module is not installed")

import kmtalk_addon  # noqa: E402
from kmtalk_addon import compat, keyframes, lipsync, session, strip  # noqa: E402
from kmtalk_addon.takes import Clip  # noqa: E402
from kmtalk_core import assets  # noqa: E402
from kmtalk_core.animator import Animator, Request  # noqa: E402
from kmtalk_core.audio import load_sound  # noqa: E402
from kmtalk_core.command.batch.blender import VARIABLE  # noqa: E402
from kmtalk_core.motion import Animation, KeyMotions  # noqa: E402
from kmtalk_core.phones import Alignment, Phone  # noqa: E402
from kmtalk_core.results import save_animation  # noqa: E402
from kmtalk_core.rig.controls import ARKIT_CONTROLS, CONTROLS  # noqa: E402

SAMPLE = Path(assets.__file__).parent / "sample_speech.flac"


@pytest.fixture
def blender() -> Iterator[object]:
    """An empty file, and KMTalk switched on."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    kmtalk_addon.register()
    yield bpy
    kmtalk_addon.unregister()


@pytest.fixture(scope="module")
def warm_worker() -> Iterator[None]:
    """One worker for all tests of a file, as for all the lines of an afternoon."""
    original, session.Session.stop = session.Session.stop, session.Session.cancel
    yield
    session.Session.stop = original
    session.current.stop()


@pytest.fixture
def head(blender) -> object:
    """A grid that passes for a head, with a shape key for each of ARKit's controls and one of the user's own."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=6, y_subdivisions=6)
    obj = bpy.context.object
    obj.name = "Köpf"
    for name in ("Basis", "Wart", *ARKIT_CONTROLS):
        obj.shape_key_add(name=name, from_mix=False)
    return obj


@pytest.fixture
def sound(tmp_path) -> Path:
    """3 s of stereo noise with syllables in it, at a path with an umlaut and a blank."""
    rate, rng = 22_050, np.random.default_rng(0)
    at = np.arange(3 * rate) / rate
    mono = rng.normal(0, 0.2, len(at)) * np.clip(np.sin(2 * np.pi * 2 * at), 0, 1)
    path = tmp_path / "Größe 1.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.repeat(mono, 2) * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def add_strip(blender, sound):
    """Add the sound as a strip: `add_strip(frame=50, name="Line")`. `made` makes noise, so every frame has a key."""

    def add(frame: int = 1, name: str = "Line", channel: int = 1, curves: str = "frames"):
        strip = compat.add_sound_strip(bpy.context.scene, name, str(sound), channel, frame)
        strip.kmtalk.curves = curves
        return strip

    return add


@pytest.fixture
def made(tmp_path):
    """A result as the worker would make it for a line: `made(line)` gives the animation and its bytes."""

    def make(line: strip.Played, seed: int = 0) -> tuple[Animation, bytes]:
        rng, fps = np.random.default_rng(seed), line.frames_per_second_of_sound
        times = np.arange(line.last_frame - line.first_frame + 1) / fps
        key_frames = np.arange(2, len(times), 7)
        controls = rng.random((len(times), len(CONTROLS))).astype(np.float32)
        animation = Animation(
            fps=fps,
            times=times,
            control_names=CONTROLS,
            controls=controls,
            keys=KeyMotions(key_frames / fps, controls[key_frames]),
            alignment=Alignment((Phone("SIL", 0.0, line.duration),), (), line.duration, "test"),
            audio_sha256="0" * 64,
            model="test",
            features=rng.random((10, 4)).astype(np.float16),
            feature_rate=100.0,
        )
        path = tmp_path / "made.npz"
        save_animation(animation, path)
        return animation, path.read_bytes()

    return make


@pytest.fixture
def curves():
    """What lies on a shape key in the head's line, or in that of `action`: `curves(obj)["jawOpen"]` has `frames`,
    `values`, `types` and the F-curve itself."""

    def look(obj, action=None) -> dict[str, SimpleNamespace]:
        keys = obj.data.shape_keys
        action = action or keyframes.own_action(obj)
        holder = compat.channels(action)
        names = {block.path_from_id("value"): block.name for block in keys.key_blocks}
        found = {}
        for curve in holder.fcurves:
            points = curve.keyframe_points
            found[names[curve.data_path]] = SimpleNamespace(
                frames=np.array([point.co[0] for point in points]),
                values=np.array([point.co[1] for point in points]),
                types=[point.type for point in points],
                curve=curve,
            )
        return found

    return look


@pytest.fixture
def blender_program(tmp_path, monkeypatch):
    """A program `blender` that is this Python with the bpy module."""
    program = tmp_path / "blender"
    stand_in = Path(__file__).parents[1] / "stand_ins" / "blender.py"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(program))
    return program


@pytest.fixture(scope="module")
def animator() -> Animator:
    """The shipped model."""
    return Animator()


@pytest.fixture(scope="module")
def result(animator, tmp_path_factory, request) -> tuple[Animation, bytes]:
    """The first SECONDS of the sample speech, where the test's module says TEXT is said, at 24 frames a second."""
    said = Request(transcript=request.module.TEXT, fps=24.0)
    animation = animator.animate(load_sound(SAMPLE, 0.0, request.module.SECONDS), said)
    path = tmp_path_factory.mktemp("result") / "out.npz"
    save_animation(animation, path, compressed=False)
    return animation, path.read_bytes()


@pytest.fixture
def clip(head, result, request) -> Clip:
    """The head says `result` from frame FIRST of the test's module on."""
    scene, first = bpy.context.scene, request.module.FIRST
    line = compat.add_sound_strip(scene, "Line", str(SAMPLE), 1, first)
    line.frame_final_end = first + request.module.SECONDS * 24
    lipsync.apply(scene, head, line, strip.read_line(scene, line), *result)
    return Clip(scene, head, keyframes.own_action(head))


@pytest.fixture
def completes(monkeypatch, animator) -> Callable[[Clip], Any]:
    """Re-run Completion without a worker's process; returns what it returns."""

    def completed(edited, folder):
        save_animation(animator.complete(edited.before, edited.keys), folder / "out.npz", compressed=False)
        yield from ()

    monkeypatch.setattr(lipsync, "_completed", completed)

    def run(clip):
        with pytest.raises(StopIteration) as stop:
            next(lipsync.complete(clip.scene, "", clip.obj))
        return stop.value.value

    return run
