"""The demo from end to end, on a second of sound and with pictures of thumbnail size."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.contact_sheet import choose_poses
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.files import load_npz
from kmtalk_core.results import load_animation

pytest.importorskip("bpy", reason="Blender as a module is not installed")
import av

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "kmtalk_core" / "assets" / "sample_speech.flac"

DEMO = """
import sys
from pathlib import Path
import demo.__main__, demo.bake, demo.film, demo.light, demo.shooting
demo.__main__.OUTPUT = Path(sys.argv.pop(1))
demo.film.PICTURE, demo.shooting.CLOSE_UP_SIZE, demo.light.POSES, demo.bake.SAMPLES = 64, 32, 2, 1
demo.film.STILL = 0.25
sys.exit(demo.__main__.main())
"""
INSPECT = """
import json, sys, bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
head = next(o for o in scene.objects if o.type == "MESH" and o.data.shape_keys)
slot = head.data.shape_keys.animation_data.action_slot
curves = head.data.shape_keys.animation_data.action.layers[0].strips[0].channelbag(slot).fcurves
jaw = next(c for c in curves if "jawOpen" in c.data_path)
strip = scene.sequence_editor.strips[0]
print(json.dumps({
    "keys": sum(p.type == "KEYFRAME" for p in jaw.keyframe_points), "points": len(jaw.keyframe_points),
    "packed": strip.sound.packed_file is not None, "start": strip.frame_final_start, "camera": scene.camera is not None,
    "frames": [scene.frame_start, scene.frame_end],
}))
"""


def run_python(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """What the demo leaves, for a sound and a head of the user's own."""
    folder = tmp_path_factory.mktemp("demo")
    sound, mesh = folder / "short ö.wav", folder / "head.npz"
    with av.open(str(SAMPLE)) as source, av.open(str(sound), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=16000, layout="mono")
        for frame in source.decode(audio=0):
            if frame.time < 1.2:
                target.mux(stream.encode(frame))
    head = load_npz(DEMO_HEAD)
    turned = head["vertices"][:, [2, 0, 1]] * 1000 + 50  # other axes, unit and place
    np.savez(mesh, vertices=turned, faces=head["faces"], landmarks=head["landmarks"])
    text = run_python(DEMO, folder / "out", "--audio", sound, "--transcript", "Hello! My mouth", "--mesh", mesh)
    return folder / "out", text


def test_says_where_the_four_files_are(output):
    folder, text = output
    names = {"short ö.npz", "short ö.blend", "short ö.mp4", "short ö_contact_sheet.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert all(str(folder / name) in text for name in names)


def test_film_shows_the_speech_and_an_edit_with_sound(output):
    folder, _ = output
    animation = load_animation(folder / "short ö.npz")
    with av.open(str(folder / "short ö.mp4")) as film:
        picture, sound = film.streams.video[0], film.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert picture.frames >= 2 * len(animation.times)
        frame = 1 / animation.fps
        assert float(picture.start_time * picture.time_base) == pytest.approx(0, abs=frame / 2)
        assert float(sound.start_time * sound.time_base) == pytest.approx(0, abs=frame)
        assert float(sound.duration * sound.time_base) == pytest.approx(picture.frames * frame, abs=1.5 * frame)
        pictures = [image.to_ndarray(format="gray").astype(int) for image in film.decode(video=0)]
    mouths = np.array(pictures)[:, 41:64]
    left, right = mouths[..., 10:58], mouths[..., 74:122]
    differ = np.abs(left - right).mean((1, 2))
    first = slice(0, len(animation.times))
    assert differ[first].min() > 5  # two sides of the head, then the same side before and after the edit
    assert differ[len(animation.times) :].min() < 2 < differ[len(animation.times) :].max()


def test_blend_opens_with_sound_keys_and_camera(output):

    folder, _ = output
    found = json.loads(run_python(INSPECT, folder / "short ö.blend").splitlines()[-1])
    animation = load_animation(folder / "short ö.npz")
    assert found["packed"] and found["camera"] and found["start"] == 1
    assert found["frames"] == [1, len(animation.times)]
    assert found["keys"] == len(animation.keys.times)
    assert found["points"] > found["keys"]


def test_contact_sheet_has_two_pictures_a_pose(output):
    folder, _ = output
    sheet = Image.open(folder / "short ö_contact_sheet.png")
    assert sheet.height > 2 * 32
    assert len(np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)) > 50


def test_without_phones_the_sheet_shows_frames_at_even_distances(animation):
    unknown = replace(animation, alignment=replace(animation.alignment, phones=()))
    frames = [pose.frame for pose in choose_poses(unknown)]
    assert frames[0] == 0 and frames[-1] == len(animation.times) - 1
    assert len(frames) == 7


def test_poses_are_at_the_key_inside_the_longest_phone(animation):
    poses = {pose.phone: pose for pose in choose_poses(animation)}
    assert set(poses) == {"SIL"}  # EH is not among the telling phones
    assert poses["SIL"].time == pytest.approx(0.9)
    open_vowel = replace(animation.alignment.phones[1], label="AA")
    phones = (animation.alignment.phones[0], open_vowel, animation.alignment.phones[2])
    poses = {
        p.phone: p for p in choose_poses(replace(animation, alignment=replace(animation.alignment, phones=phones)))
    }
    assert (poses["AA"].time, poses["AA"].word, poses["AA"].frame) == (0.49, "é", 12)
