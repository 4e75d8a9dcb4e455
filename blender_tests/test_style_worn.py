"""The installed extension's styles: shipped ones, a file learned from a corrected line, edited key motions kept."""

import bpy
import numpy as np


def test_styles_are_worn_at_once_and_edited_keys_stay(kmtalk, head, strip, jaw):
    kmtalk.api.generate(head)
    before, frames = jaw(head), range(50, kmtalk.compat.handles(strip).right)
    plain = [before.curve.evaluate(frame) for frame in frames]
    keys = [index for index, kind in enumerate(before.types) if kind == "KEYFRAME"]
    edited = before.frames[keys[len(keys) // 2]]
    before.curve.keyframe_points[keys[len(keys) // 2]].co[1] = 0.625
    for style in ("lively", "mumbling", "precise"):
        strip.kmtalk.style = style
        worn = jaw(head)
        assert worn.values[worn.frames.index(edited)] == 0.625, style
        shown = [worn.curve.evaluate(frame) for frame in frames if abs(frame - edited) > 24]
        assert max(abs(a - b) for a, b in zip(shown, others(plain, frames, edited), strict=True)) > 0.03, style
    kmtalk.api.complete(head)
    assert jaw(head).values[jaw(head).frames.index(edited)] == 0.625
    strip.kmtalk.style = "neutral"
    assert not kmtalk.session.current.error


def others(values, frames, edited) -> list[float]:
    """Those that are not near the edited frame."""
    return [value for frame, value in zip(frames, values, strict=True) if abs(frame - edited) > 24]


def test_a_style_is_learned_from_a_corrected_line_and_worn(kmtalk, head, strip, jaw, tmp_path):
    from kmtalk_core.command import cli

    kmtalk.api.generate(head)
    before, frames = jaw(head), range(50, kmtalk.compat.handles(strip).right)
    plain = [before.curve.evaluate(frame) for frame in frames]
    for index, (kind, value) in enumerate(zip(before.types, before.values, strict=True)):
        if kind == "KEYFRAME" and value > 0.1:
            before.curve.keyframe_points[index].co[1] = value + 0.2
    kmtalk.api.complete(head)
    (tmp_path / "line.npz").write_bytes(kmtalk.keyframes.own_action(head).kmtalk_takes[0].result)
    assert cli.main(["learn-style", str(tmp_path / "line.npz"), "--out", str(tmp_path / "me.style")]) == 0
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert bpy.ops.kmtalk.open_style(filepath=str(tmp_path / "me.style")) == {"FINISHED"}
    assert strip.kmtalk.style.endswith("me.style") and not kmtalk.session.current.error
    bpy.context.scene.kmtalk.keep_keys = False
    kmtalk.api.generate(head, options=kmtalk.lipsync.Options(keep_keys=False, style=str(tmp_path / "me.style")))
    mean = np.mean([jaw(head).curve.evaluate(frame) for frame in frames])
    assert mean > np.mean(plain) + 0.02
