"""The installed extension at work: enable, generate from a strip, edit, re-run, cancel, disable, enable again."""

import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

import addon_utils
import bpy
import pytest

from kmtalk_core.errors import KMTalkError

from .conftest import AT_START

HEAVY = {"onnxruntime", "scipy", "av", "pocketsphinx", "torch"}


def test_enabling_imports_nothing_heavy(kmtalk):
    assert not AT_START & HEAVY


def test_it_is_the_installed_one(kmtalk, core):
    addon = Path(sys.modules[kmtalk.name].__file__)
    if not kmtalk.name.startswith("bl_ext."):
        pytest.skip("installed as an add-on, not as an extension")
    assert addon.parents[1].name == "user_default" and ".local" in core.parts
    assert core.parent.name == "site-packages" and addon.parents[2] == core.parents[4], "one profile holds both"


def test_generate_edit_and_run_again(kmtalk, head, strip, jaw):
    summary = kmtalk.api.generate(head).summary
    before = jaw(head)
    assert "key motions on frames 50" in summary
    frames = range(50, kmtalk.compat.handles(strip).right)
    assert (before.frames[0], before.frames[-1]) == (frames[0], frames[-1]) and len(before.frames) < 0.6 * len(frames)
    assert set(before.types) == {"KEYFRAME", "GENERATED"} and max(before.values) > 0.2

    keys = [index for index, kind in enumerate(before.types) if kind == "KEYFRAME"]
    edited = before.frames[keys[len(keys) // 2]]
    far = [frame for frame in frames if abs(frame - edited) > 120]
    shown = [before.curve.evaluate(frame) for frame in far]
    before.curve.keyframe_points[keys[len(keys) // 2]].co[1] = 0.625
    kmtalk.api.complete(head)
    after = jaw(head)
    assert after.curve.evaluate(edited) == 0.625
    assert far and [after.curve.evaluate(frame) for frame in far] == pytest.approx(shown, abs=1e-6)
    bpy.context.scene.frame_set(int(edited))
    assert abs(head.data.shape_keys.key_blocks["jawOpen"].value - 0.625) < 1e-6


def test_a_sound_that_begins_after_the_picture_is_animated_where_it_is_heard(kmtalk, head, strip, jaw, core, tmp_path):
    strip.kmtalk.curves = "frames"
    kmtalk.api.generate(head)
    plain = jaw(head)
    sample = core / "assets" / "sample_speech.flac"
    strip.sound.filepath = late_video(tmp_path / "late.mkv", sample, 1.5)
    shutil.copy(sample.with_suffix(".txt"), tmp_path / "late.txt")  # the text beside the sound counts
    kmtalk.api.generate(head)
    late = jaw(head)
    assert late.frames == plain.frames
    assert max(abs(a - b) for a, b in zip(late.values, plain.values, strict=True)) < 0.05


def late_video(path: Path, sound: Path, delay: float) -> str:
    """A video whose sound, without loss, begins `delay` s after its picture."""
    from fractions import Fraction

    import av
    import numpy as np

    with av.open(str(sound)) as given, av.open(str(path), "w") as out:
        rate = given.streams.audio[0].rate
        picture = out.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        voice = out.add_stream("flac", rate=rate, layout="mono")
        image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        image.pts, image.time_base = 0, Fraction(1, 25)
        out.mux([*picture.encode(image), *picture.encode(None)])
        for frame in given.decode(audio=0):
            frame.time_base = Fraction(1, rate)
            frame.pts = (frame.pts or 0) + round(delay * rate)
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    return str(path)


def test_the_operators_do_the_same(kmtalk, head, strip, jaw):
    bpy.context.scene.kmtalk.mesh = head
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    assert len(jaw(head).frames) > 50


def test_cancelling_leaves_the_file_as_it_was(kmtalk, head, strip):
    current = kmtalk.session.current
    current.start(kmtalk.lipsync.generate(bpy.context.scene, strip, head, kmtalk.lipsync.Options()), "")
    assert current.worker.alive
    current.cancel()
    assert not current.worker.alive and head.data.shape_keys is None and not bpy.data.actions
    assert kmtalk.api.generate(head).summary, "the next run starts another worker"


def test_a_killed_worker_is_one_sentence_and_replaced(kmtalk, head, strip):
    current = kmtalk.session.current
    job = current.start(kmtalk.lipsync.generate(bpy.context.scene, strip, head, kmtalk.lipsync.Options()), "")
    os.kill(current.worker.pid, signal.SIGTERM)
    with pytest.raises(KMTalkError, match="stopped unexpectedly"):
        job.wait()
    current.job = None
    assert head.data.shape_keys is None
    assert kmtalk.api.generate(head).summary


def test_pocketsphinx_gets_along_with_the_libraries_of_this_blender(kmtalk, head, strip):
    if importlib.util.find_spec("pocketsphinx") is None:
        pytest.skip("there is no pocketsphinx for this Python")
    options = kmtalk.lipsync.Options(localizer="pocketsphinx", transcript="Hello! My mouth moves by itself now.")
    strip.frame_final_end = 50 + 2 * bpy.context.scene.render.fps
    assert "key motions" in kmtalk.api.generate(head, options=options).summary


def test_the_worker_stays_warm(kmtalk, head, strip):
    kmtalk.api.generate(head)
    pid = kmtalk.session.current.worker.pid
    kmtalk.api.generate(head)
    assert kmtalk.session.current.worker.pid == pid


def test_the_self_check_finds_all_that_is_needed(kmtalk):
    current = kmtalk.session.current
    assert bpy.ops.kmtalk.self_check() == {"FINISHED"}
    missing = [finding for finding in current.findings if not finding.works and not finding.optional]
    assert not missing and len(current.findings) > 10
    from kmtalk_core.command.doctor import format_report

    print(format_report(list(current.findings)))


def test_switching_off_ends_the_worker_and_on_again_works(kmtalk, head, strip):
    kmtalk.api.generate(head)
    worker = kmtalk.session.current.worker
    addon_utils.disable(kmtalk.name)
    assert not worker.alive and not hasattr(bpy.types.Scene, "kmtalk")
    assert not [name for name in dir(bpy.types) if name.startswith("KMTALK_")]
    assert addon_utils.enable(kmtalk.name) is not None
    assert kmtalk.api.generate(head).summary
