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


def test_a_walk_with_undo_changes_no_other_line_and_no_key_of_the_users(sound):
    """200 steps of moving, cutting, trimming, renaming, editing, completing, generating, undoing and redoing: a step
    changes its own line only, and undo and redo show what was there, whatever was done between."""
    run(
        sound,
        """
import random
from test_lines import content, edit_jaw, run as drive
from kmtalk_addon import edit_keys, removal, takes as lines
random.seed(5)
scene().render.fps = 24
def keys(): return head().data.shape_keys
def clip(s): return lines.find_clip(scene(), s.name, head())
wart = head().shape_key_add(name="Wart", from_mix=False)
for frame, value in ((1, 0.0), (40, 0.5), (90, 0.25)):
    wart.value = value
    wart.keyframe_insert("value", frame=frame)
keys().animation_data.action.name = "Acting"
def acting():
    curves = compat.all_fcurves(bpy.data.actions["Acting"])
    return [tuple(p.co) for c in curves for p in c.keyframe_points]
own = acting()
def hashed(action):
    return {path: array.tobytes() for path, array in content(action).items()}
def state():
    found = {}
    for action in lines.own_actions(keys()):
        take = clips.take_of(action)
        lie = clips.lie_of(take)
        found[take.line_id, take.title] = (
            round(lie.at), round(lie.end), action in clips.playing(keys()), hashed(action))
    return found
def sounds(): return strip.sound_strips(scene())
names = iter(f"Line {n}" for n in range(1000))
def add(frame, channel, step):
    new = compat.add_sound_strip(scene(), next(names), SOUND, channel, frame)
    new.kmtalk.curves = "frames"
    generate(new, step)
def generate(s, step):
    lipsync.apply(scene(), head(), s, (line := strip.read_line(scene(), s)), *made(line, step))
def cut(s, step):
    at = compat.handles(s)
    if at.right - at.left > 20 and len(sounds()) < 5:
        s.split((at.left + at.right) // 2, "SOFT")
def move(s, step): s.frame_start += random.randint(-60, 200)
def trim(s, step): s.frame_offset_start, s.frame_offset_end = random.randint(0, 20), random.randint(0, 20)
def rename(s, step): s.name = next(names)
def rename_key(s, step): keys().key_blocks[random.randrange(1, len(keys().key_blocks) - 1)].name = f"Key {step}"
def edit(s, step): edit_jaw(clip(s), random.randrange(8), random.random())
def complete(s, step): drive(lipsync.complete(scene(), s.name, head()), made)
def take(s, step): removal.duplicate_take(clip(s))
def switch(s, step):
    removal.use_take(clip(s), random.choice(lines.takes_of(keys(), s.kmtalk.id)))
def show(s, step):
    s.kmtalk.show_completed = not s.kmtalk.show_completed
    edit_keys.edit(clip(s))
def another(s, step):
    if len(sounds()) < 5:
        add(random.randint(1, 500), random.randint(2, 20), step)
sound("A").kmtalk.curves = "frames"; generate(sound("A"), 0); follow.follow(scene()); push()
history, at, done = [state()], 0, {}
steps = [move, cut, trim, rename, rename_key, edit, edit, complete, take, switch, show, generate, another]
for step in range(STEPS):
    what = random.choice([*steps, "undo", "undo", "undo", "redo", "redo"])
    if what == "undo" and at > 0:
        bpy.ops.ed.undo(); at -= 1
    elif what == "redo" and at < len(history) - 1:
        bpy.ops.ed.redo(); at += 1
    elif callable(what):
        s = random.choice(sounds())
        line_id, before = s.kmtalk.id, history[at]
        what(s, step)
        follow.follow(scene()); push()
        now = state()
        for key in before if what is not rename_key else ():
            assert key[0] == line_id or now[key] == before[key], (step, what, key)
        history, at = [*history[: at + 1], now], at + 1
    follow.follow(scene())
    assert state() == history[at], (step, what)
    assert acting() == own, (step, what)
    done[str(what)] = done.get(str(what), 0) + 1
assert len(done) == len(steps) - 1 + 2, done
""".replace("SOUND", repr(str(sound)))
        .replace("STEPS", "200")
        .replace("scene()", "bpy.context.scene"),
    )
