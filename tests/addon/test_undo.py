"""Undo and redo over lines, and in the midst of work. In a process of their own: undo frees what other tests hold."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREPARE = """
import sys; sys.path[:0] = [{root!r}, {here!r}]
import bpy, kmtalk_addon
from pathlib import Path
from kmtalk_addon import api, clips, follow, keyframes, lipsync, strip, takes, compat
from kmtalk_core.errors import KMTalkError
from kmtalk_core.rig.controls import ARKIT_CONTROLS
bpy.ops.wm.read_factory_settings(use_empty=True); kmtalk_addon.register()
bpy.ops.mesh.primitive_grid_add(x_subdivisions=6, y_subdivisions=6)
for name in ("Basis", *ARKIT_CONTROLS): bpy.context.object.shape_key_add(name=name, from_mix=False).value = 0
scene = bpy.context.scene
compat.add_sound_strip(scene, "A", {sound!r}, 1, 50)
from test_lines import answer
def head(): return next(o for o in bpy.data.objects if o.type == "MESH")
def sound(name="A"): return strip.choose_strip(bpy.context.scene, name)
def push(): bpy.ops.ed.undo_push(message="step")
def undo():
    bpy.ops.ed.undo(); return True
import numpy as np
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.rig.controls import CONTROLS
from kmtalk_core.results import save_animation
import tempfile
def made(line, seed=0):
    rng, fps = np.random.default_rng(seed), line.frames_per_second_of_sound
    times = np.arange(line.last_frame - line.first_frame + 1) / fps
    frames = np.arange(2, len(times), 7)
    controls = rng.random((len(times), len(CONTROLS))).astype(np.float32)
    animation = Animation(fps=fps, times=times, control_names=CONTROLS, controls=controls,
        keys=KeyMotions(frames / fps, controls[frames]),
        alignment=Alignment((Phone("SIL", 0.0, line.duration),), (), line.duration, "test"),
        audio_sha256="0" * 64, model="test", features=rng.random((10, 4)).astype(np.float16), feature_rate=100.0)
    path = Path(tempfile.mkdtemp()) / "made.npz"
    save_animation(animation, path)
    return animation, path.read_bytes()
def speak(seed=0):
    line = strip.read_line(bpy.context.scene, sound())
    return lipsync.apply(bpy.context.scene, head(), sound(), line, *made(line, seed))
def lie(): return clips.lie_of(clips.take_of(keyframes.own_action(head())))
push()
"""


def run(sound, code: str) -> None:
    code = PREPARE.format(root=str(ROOT), here=str(Path(__file__).parent), sound=str(sound)) + code + "\nprint('fine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0 and done.stdout.strip().endswith("fine"), (done.stdout + done.stderr)[-2000:]


def test_undo_and_redo_over_generating_and_moving(sound):
    run(
        sound,
        """
speak(); push()
sound().frame_start += 30; follow.follow(bpy.context.scene); push()
assert lie().at == 80
undo(); follow.follow(bpy.context.scene)
assert lie().at == 50, lie()
bpy.ops.ed.redo(); follow.follow(bpy.context.scene)
assert lie().at == 80
undo(); undo()
assert keyframes.own_action(head()) is None
bpy.ops.ed.redo()
assert lie().at == 50 and len(api.takes(head())) == 1
""",
    )


@pytest.mark.parametrize(
    "work", ["lipsync.generate(scene, sound(), head(), lipsync.Options())", "lipsync.complete(scene, 'A', head())"]
)
def test_undo_in_the_midst_of_work_is_a_sentence_or_goes_well(sound, work):
    run(
        sound,
        f"""
speak(); push()
sound().frame_start += 10; follow.follow(bpy.context.scene); push()
steps = {work}
request = next(steps)
for count in range(3):
    undo()
    done = answer(request, made)
    try:
        request = steps.send(done)
    except StopIteration:
        break
    except KMTalkError as error:
        print(error); break
head(), sound(), follow.follow(bpy.context.scene)
speak(3)
assert lie().at == 50
""",
    )


def test_a_walk_of_undo_and_redo_comes_back_to_every_step(sound):
    """What undoing and redoing to a step shows is what was shown when it was done, whatever was done between."""
    run(
        sound,
        """
import random
random.seed(5)
def state():
    follow.follow(bpy.context.scene)
    keys = head().data.shape_keys
    found = {}
    for action in takes.own_actions(keys):
        take = clips.take_of(action)
        lie = clips.lie_of(take)
        found[take.line_id, take.title] = (round(lie.at), round(lie.end), action in clips.playing(keys),
            [p.co[1] for c in compat.all_fcurves(action) for p in c.keyframe_points])
    return found
def edit():
    action = keyframes.own_action(head())
    curve = next(c for c in compat.all_fcurves(action) if any(p.type == "KEYFRAME" for p in c.keyframe_points))
    next(p for p in curve.keyframe_points if p.type == "KEYFRAME").co[1] = random.random()
def take():
    from kmtalk_addon import removal
    removal.duplicate_take(takes.find_clip(bpy.context.scene, "A", head()))
def shift():
    sound().frame_start += random.randint(-20, 40)
speak(); push()
history, at = [state()], 0
for step in range(60):
    what = random.choice([edit, take, shift, "new", "undo", "undo", "redo"])
    if what == "undo" and at > 0:
        bpy.ops.ed.undo(); at -= 1
    elif what == "redo" and at < len(history) - 1:
        bpy.ops.ed.redo(); at += 1
    elif what == "new" or callable(what):
        speak(step) if what == "new" else what()
        follow.follow(bpy.context.scene); push()
        history, at = [*history[: at + 1], state()], at + 1
    assert state() == history[at], (step, what)
""",
    )
