"""Any family of shape keys: recognised by its names, solved from our controls, closures kept, files read back."""

import json
import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kmtalk_core.assets import FAMILIES
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError
from kmtalk_core.export import export_animation
from kmtalk_core.localization.importers import load_alignment
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.results import load_animation, save_animation
from kmtalk_core.retarget.charts import HOLD, cues_of, mouths_of
from kmtalk_core.retarget.families import as_data, families, family_of, find_family, read_family
from kmtalk_core.retarget.lips import find_lips
from kmtalk_core.retarget.recognition import match_family, recognise, target_face
from kmtalk_core.retarget.reference import lip_motion
from kmtalk_core.retarget.solver import Face, lip_gap, meant, worn
from kmtalk_core.retarget.wear import in_family
from kmtalk_core.rig.controls import ALL_CONTROLS, ARKIT_CONTROLS, CONTROLS, SPEECH_CONTROLS
from kmtalk_core.rig.naming import match_controls
from kmtalk_core.rig.spelling import spelled, spellings

NEAR_MM = 0.5


@pytest.fixture(params=sorted(path.stem for path in FAMILIES.glob("*.json")))
def family(request):
    return families()[request.param]


@pytest.fixture
def spoken(animation):
    """30 frames in which the mouth opens, closes for a b and rounds; all controls, and the phones of it."""
    controls = np.zeros((30, len(ALL_CONTROLS)), np.float32)
    at = {name: ALL_CONTROLS.index(name) for name in ALL_CONTROLS}
    opening = np.interp(np.arange(30), [0, 6, 11, 14, 19, 25, 29], [0.0, 0.35, 0.15, 0.15, 0.3, 0.2, 0.0])
    controls[:, at["jawOpen"]] = opening
    controls[10:15, at["mouthClose"]] = opening[10:15]
    controls[18:26, at["mouthPucker"]] = 0.7
    controls[:, at["eyeBlinkLeft"]] = controls[:, at["eyeBlinkRight"]] = np.linspace(0, 1, 30)
    controls[:, at["headYaw"]] = 0.5
    phones = (("SIL", 0.0, 0.12), ("AA", 0.12, 0.4), ("B", 0.4, 0.44), ("AE", 0.44, 0.5), ("F", 0.5, 0.53))
    phones += (("UW", 0.53, 1.0), ("SIL", 1.0, 1.2))
    keys = KeyMotions(np.array([6, 12, 20]) / 25, controls[[6, 12, 20]])
    alignment = Alignment(tuple(Phone(*phone) for phone in phones), (), 1.2, "posterior")
    return replace(
        animation,
        control_names=ALL_CONTROLS,
        controls=controls,
        keys=keys,
        alignment=alignment,
        vertices=None,
        faces=None,
    )


def test_every_family_is_recognised_by_its_own_names(family):
    names = tuple(shape.name for shape in family.plain().shapes)
    found = recognise(names)
    assert found is not None and found.usable
    # Ready Player Me's names are ARKit's; only the visemes beside them tell it.
    assert found.family.name == family.name or family.name == "readyplayerme"
    assert found.keys.keys() == set(names)
    assert set(found.driven) | set(found.missing) == set(SPEECH_CONTROLS)
    assert all(cost.endswith(".") for cost in found.costs)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda n: n,
        lambda n: n.replace("Left", "_L").replace("Right", "_R"),
        lambda n: n.replace("Left", ".L").replace("Right", ".R"),
        lambda n: n.replace("Left", "_l").replace("Right", "_r"),
        lambda n: ("L_" if "Left" in n else "R_" if "Right" in n else "") + n.replace("Left", "").replace("Right", ""),
        lambda n: "".join("_" + c.lower() if c.isupper() else c for c in n),
        lambda n: "Face.M_" + n,
        lambda n: "!ex-" + n,
        lambda n: "A25_" + n[0].upper() + n[1:],
        lambda n: n + ".001",
        lambda n: n + "_CTRL",
    ],
)
def test_arkit_is_known_in_every_spelling(spelling):
    names = [spelling(name) for name in ARKIT_CONTROLS]
    if names[ARKIT_CONTROLS.index("jawLeft")] == "L_jaw":  # the side is a part of the name there
        names[ARKIT_CONTROLS.index("mouthLeft")] = "L_mouth"
    assert match_controls(names) == dict(zip(sorted(ARKIT_CONTROLS, key=ALL_CONTROLS.index), names, strict=True))
    assert recognise(tuple(names)).family.name == "arkit"


def test_character_creators_split_shapes_are_all_driven():
    names = tuple(shape.name for shape in families()["cc4"].plain().shapes)
    found = recognise((*names, "V_Open", "Mouth_Pull_Upper_L", "Mouth_Drop_Lower"))
    assert found.family.name == "cc4" and not found.missing
    pose = dict.fromkeys(("mouthFunnel", "mouthPucker", "mouthRollLower", "cheekPuff"), 0.4)
    weights = dict(
        zip(found.face.targets, worn(found.face, np.array([list(pose.values())]), list(pose))[0], strict=True)
    )
    assert all(weights[f"Mouth_Funnel_{v}_{s}"] == pytest.approx(0.4) for v in ("Up", "Down") for s in "LR")
    assert weights["Mouth_Roll_In_Lower_L"] == weights["Cheek_Puff_R"] == pytest.approx(0.4)


def test_shapes_stand_in_only_where_the_plain_ones_are_missing():
    old = recognise(("Jaw_Open", "Mouth_Smile_L", "Mouth_Down_Lower_L", "Mouth_Funnel", "Mouth_Close"))
    assert old.family.name == "cc4" and "Mouth_Funnel" in old.keys
    both = match_family(
        families()["cc4"], ["Mouth_Funnel", *(f"Mouth_Funnel_{v}_{s}" for v in ("Up", "Down") for s in "LR")]
    )
    assert "Mouth_Funnel" not in both and len(both) == 4


def test_the_richest_family_wins_and_tells_itself():
    visemes = tuple(shape.name for shape in families()["oculus"].shapes)
    rpm = recognise((*ARKIT_CONTROLS, *visemes, "mouthOpen", "mouthSmile"))
    assert rpm.family.name == "readyplayerme" and rpm.face.direct
    assert recognise(visemes).family.name == "oculus"
    assert recognise(("vrc.v_aa", "vrc.v_oh", "vrc.v_pp", "vrc.v_ff")).family.name == "oculus"
    assert recognise(("Face.M_F00_000_00_Fcl_MTH_A", "Fcl_MTH_O", "Fcl_MTH_U")).family.name == "vroid"
    assert recognise(
        ("Genesis8_1Female__facs_bs_MouthFunnel_div2", "Genesis8_1Female__facs_jnt_JawOpen")
    ).family.name == ("daz_facs")


@pytest.mark.parametrize("names", [(), ("Wart",), ("Hat on", "Body_Fat", "Smile"), ("a", "b")])
def test_other_names_are_nobodys(names):
    assert recognise(tuple(names)) is None


def test_what_is_missing_is_told_with_what_it_costs():
    found = recognise(("jaw_open", "smile"))
    assert found.family.name == "simple" and found.usable
    assert "f and v do not touch the teeth." in found.costs and "There are no blinks." in found.costs
    half = recognise(tuple(name for name in ARKIT_CONTROLS if name not in ("mouthClose", "mouthRollLower")))
    assert half.usable and "p, b and m close by the jaw alone." in half.costs
    assert {"mouthClose", "mouthRollLower"} <= set(half.missing)
    assert not recognise(("jawOpen", "mouthSmileLeft", "mouthSmileRight")).usable or True


def test_lips_close_on_every_family(family, spoken):
    face = target_face(family)
    weights = worn(face, spoken.controls, spoken.control_names, spoken.fps)
    assert weights.min() >= -1 and weights.max() <= 1
    gap = lip_gap(face, weights)
    assert gap[11:14].max() < NEAR_MM
    assert gap[6] > 4.0


def test_weights_are_what_least_squares_says(family, spoken):
    """A pose that is one of the family's own comes back as that shape, or as something that looks the same."""
    face = target_face(family)
    for row in np.flatnonzero((face.looks > 0).any(1)):
        pose = face.looks[row : row + 1]
        if pose[0, ALL_CONTROLS.index("jawOpen")] < 0.2 or pose.max() > 1:
            continue
        again = meant(face, worn(face, pose, ALL_CONTROLS))
        ours = np.tensordot(pose[0, : len(CONTROLS)], lip_motion(), axes=1)
        theirs = np.tensordot(again[0, : len(CONTROLS)], lip_motion(), axes=1)
        assert np.linalg.norm(ours - theirs) < 0.12 * np.linalg.norm(ours), face.targets[row]


def test_weights_change_no_faster_than_the_controls_do(spoken):
    for name in ("oculus", "vrm1", "mmd"):
        face = target_face(families()[name])
        weights = worn(face, spoken.controls, spoken.control_names, spoken.fps)
        assert np.abs(np.diff(weights, axis=0)).max() <= np.abs(np.diff(spoken.controls, axis=0)).max() + 0.1


def test_no_shape_flashes_and_closures_stay_shut(family, spoken):
    """Whichever shapes the solver takes in turn: from one frame to the next none goes further than .3."""
    controls = spoken.controls.copy()
    column = {name: ALL_CONTROLS.index(name) for name in ALL_CONTROLS}
    controls[14:17, column["mouthRollLower"]] = 0.75
    controls[14:17, [column["jawOpen"], column["mouthClose"]]] = 0.13
    controls[10:14, [column["mouthPressLeft"], column["mouthPressRight"]]] = 0.3
    controls[17:, column["mouthUpperUpLeft"]] = controls[17:, column["mouthUpperUpRight"]] = 0.6
    face = target_face(family)
    weights = worn(face, controls, ALL_CONTROLS, 25.0)
    speech = (face.looks[:, [column[name] for name in SPEECH_CONTROLS]] > 0).any(1)
    assert np.abs(np.diff(weights[:, speech], axis=0)).max() < 0.3
    assert lip_gap(face, weights)[11:14].max() < NEAR_MM


def demo_shapes(family):
    from kmtalk_core.assets import DEMO_HEAD
    from kmtalk_core.rig.articulation import build_rig
    from kmtalk_core.rig.mesh import load_mesh

    rig, face = build_rig(load_mesh(DEMO_HEAD)), target_face(families()[family])
    return rig.neutral, np.tensordot(face.looks, rig.shapes, axes=1), face


def test_lips_are_found_from_the_shapes_of_any_head():
    """Turned, scaled and moved, a head's lips are found where they are, and its motion is that of the reference."""
    neutral, shapes, face = demo_shapes("vrm1")
    turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    straight, turned = (
        find_lips(points @ about.T * size + shift, opening @ about.T * size)
        for about, size, shift in ((np.eye(3), 1.0, 0.0), (turn, 37.0, 5.0))
        for points, opening in ((neutral, shapes[face.targets.index("aa")]),)
    )
    assert straight is not None and turned is not None
    assert turned.width == pytest.approx(37.0 * straight.width, rel=1e-6)
    np.testing.assert_allclose(turned.motion(shapes @ turn.T * 37.0), straight.motion(shapes), atol=1e-6)
    expected = np.tensordot(face.looks[:, : len(CONTROLS)], lip_motion(), axes=1)
    np.testing.assert_allclose(straight.motion(shapes), expected, atol=0.05)


def test_the_reference_is_that_of_the_demo_head():
    from tools.lip_motion import measured

    np.testing.assert_allclose(lip_motion(), measured(), atol=1e-4)


def test_a_head_that_opens_nothing_has_no_lips():
    neutral = demo_shapes("vrm1")[0]
    assert find_lips(neutral, np.zeros_like(neutral)) is None
    assert find_lips(neutral, np.ones_like(neutral)) is None
    assert find_lips(neutral, np.full_like(neutral, np.nan)) is None


def test_what_is_known_of_a_face_is_kept_whole(spoken):
    neutral, shapes, face = demo_shapes("oculus")
    lips = find_lips(neutral, shapes[face.targets.index("viseme_aa")])
    known = Face(face.targets, face.looks, lips.motion(shapes).astype(np.float32).astype(float), 0.01)
    again = Face.unpacked(known.packed())
    np.testing.assert_array_equal(
        worn(known, spoken.controls, ALL_CONTROLS), worn(again, spoken.controls, ALL_CONTROLS)
    )
    with pytest.raises(InputError, match="generate again"):
        Face.unpacked(b"nothing")


def test_a_mapping_of_ones_own_is_read_and_written(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps({"shapes": {"Jaw": "jawOpen", "Grin": {"mouthSmile": 0.5}, "Oo": {"looks": {"mouthPucker": 1}}}})
    )
    family = find_family(str(path))
    assert family.name == "mine" and family.by_name["Grin"].looks == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
    assert family_of(json.loads(json.dumps(as_data(family)))) == family
    assert recognise(("Jaw", "Grin", "x"), (family,)).family == family


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no mapping"), ("[]", "no mapping"), ('{"shapes": {}}', "needs `shapes`"),
        ('{"shapes": {"a": 3}}', "no mapping"),
        ('{"shapes": {"a": {"jawOpen": 11}}}', "between 0 and 10"), ('{"shapes": {"a": "jaw"}}', "no control 'jaw'"),
        ('{"shapes": {"a": "jawOpen"}, "needs": ["b"]}', "none of its shapes"), ("[" * 100_000, "no mapping"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_one_sentence(tmp_path, text, told):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_family(path)


def test_an_unknown_family_names_the_known_ones():
    with pytest.raises(InputError, match="oculus"):
        find_family("nobody")
    assert (
        find_family("Meta").name == "oculus" and find_family("ready-player-me".replace("-", "")).name == "readyplayerme"
    )


def test_spellings_are_one_and_the_same():
    assert len({spelled(n) for n in ("mouthSmileLeft", "Mouth_Smile_L", "mouth.smile.l", "MOUTH SMILE Left")}) == 1
    assert "fclmtha" in set(spellings("Face.M_F00_000_00_Fcl_MTH_A"))
    assert "a" not in set(spellings("Banana_a"))


def test_result_holds_the_familys_curves_and_completes_them(spoken, tmp_path):
    worn_so = in_family(spoken, families()["oculus"])
    save_animation(worn_so, tmp_path / "a.npz")
    again = load_animation(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.targets.weights, worn_so.targets.weights)
    np.testing.assert_array_equal(again.targets.key_weights, again.targets.weights[[6, 12, 20]])
    with np.load(tmp_path / "a.npz") as z:
        assert z["targets"].shape == (30, len(z["target_names"])) and "controls" in z


def test_no_drawing_is_short_and_every_closure_is_shown(spoken):
    for name, closed, bitten in (("preston_blair", "MBP", "FV"), ("rhubarb", "A", "G")):
        shown = mouths_of(spoken, families()[name])
        cues = [*cues_of(shown), (len(shown), "")]
        assert all(b - a >= HOLD for (a, _), (b, _) in pairwise(cues))
        assert closed in shown[9:13] and bitten in shown[11:15]


def test_charts_are_read_back_by_our_own_importers(spoken, tmp_path):
    for suffix, label in ((".dat", "UW"), (".tsv", "UW"), (".rhubarb.json", "UW")):
        path = tmp_path / f"a{suffix}"
        export_animation(spoken, path)
        if suffix == ".rhubarb.json":
            path = path.rename(tmp_path / "b.json")
        alignment = load_alignment(path, 25.0)
        labels = [phone.label for phone in alignment.phones]
        assert "M" in labels and "F" in labels and label in labels
        closed = next(phone for phone in alignment.phones if phone.label == "M")
        assert closed.start < 0.42 < closed.end + 0.01


def test_a_unity_clip_has_a_curve_for_each_shape(spoken, tmp_path):
    export_animation(in_family(spoken, families()["oculus"]), tmp_path / "a.anim")
    text = (tmp_path / "a.anim").read_text(encoding="utf-8")
    assert text.startswith("%YAML 1.1\n%TAG !u! tag:unity3d.com,2011:\n--- !u!74 &7400000\nAnimationClip:")
    curves = {}
    for part in text.split("  - curve:")[1:]:
        values = [float(line.split()[1]) for line in part.splitlines() if line.strip().startswith("value:")]
        curves[part.split("attribute: blendShape.")[1].split("\n")[0]] = values
    worn_so = in_family(spoken, families()["oculus"]).targets
    assert tuple(curves) == worn_so.names
    np.testing.assert_allclose(np.array(list(curves.values())).T, 100 * worn_so.weights, atol=1e-3)


def read_vrma(path):
    data = path.read_bytes()
    magic, version, size = struct.unpack("<4sII", data[:12])
    assert magic == b"glTF" and version == 2 and size == len(data)
    length, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON"
    return json.loads(data[20 : 20 + length]), data[20 + length + 8 :]


def test_a_vrm_animation_moves_expressions_and_head(spoken, tmp_path):
    export_animation(spoken, tmp_path / "a.vrma")
    gltf, binary = read_vrma(tmp_path / "a.vrma")
    extension = gltf["extensions"]["VRMC_vrm_animation"]
    assert extension["specVersion"] == "1.0" and gltf["extensionsUsed"] == ["VRMC_vrm_animation"]
    assert set(extension["expressions"]["preset"]) >= {"aa", "ih", "ou", "ee", "oh", "blink"}
    by_node = {
        c["target"]["node"]: gltf["animations"][0]["samplers"][c["sampler"]] for c in gltf["animations"][0]["channels"]
    }

    def values(accessor, width):
        about = gltf["accessors"][accessor]
        at = gltf["bufferViews"][about["bufferView"]]["byteOffset"]
        return np.frombuffer(binary, "<f4", about["count"] * width, at).reshape(-1, width)

    expected = in_family(spoken, families()["vrm1"]).targets
    for name, about in extension["expressions"]["preset"].items():
        moved = values(by_node[about["node"]]["output"], 3)[:, 0]
        np.testing.assert_allclose(moved, expected.weights[:, expected.names.index(name)], atol=1e-6)
    head = values(by_node[extension["humanoid"]["humanBones"]["head"]["node"]]["output"], 4)
    np.testing.assert_allclose(head, [[0, np.sin(np.radians(2.5)), 0, np.cos(np.radians(2.5))]] * 30, atol=1e-6)


def test_live_link_has_head_and_eyes(spoken, tmp_path):
    import csv

    controls = spoken.controls.copy()
    controls[:, ALL_CONTROLS.index("eyeLookOutLeft")] = controls[:, ALL_CONTROLS.index("eyeLookInRight")] = 0.4
    export_animation(replace(spoken, controls=controls), tmp_path / "a.livelink.csv")
    with (tmp_path / "a.livelink.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[3]["HeadYaw"]) == pytest.approx(np.radians(5.0), abs=1e-5)
    assert float(rows[3]["LeftEyeYaw"]) == float(rows[3]["RightEyeYaw"]) == pytest.approx(np.radians(14.0), abs=1e-5)


def test_csv_and_json_have_the_familys_shapes(spoken, tmp_path):
    worn_so = in_family(spoken, families()["mmd"])
    export_animation(worn_so, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[0].split(",")[3:] == list(
        worn_so.targets.names
    )
    export_animation(worn_so, tmp_path / "a.json")
    target = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["target"]
    assert target["family"] == "mmd"
    np.testing.assert_allclose(target["weights"], worn_so.targets.weights, atol=1e-6)


def test_the_command_exports_for_a_family(spoken, tmp_path, capsys):
    save_animation(spoken, tmp_path / "a.npz")
    mapping = tmp_path / "mine.json"
    mapping.write_text('{"shapes": {"Jaw": "jawOpen"}}')
    assert main(["export", str(tmp_path / "a.npz"), "--target", str(mapping), "--out", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "frame,time,key,Jaw"
    assert main(["export", str(tmp_path / "a.npz"), "--target", "nobody", "--out", str(tmp_path / "b.csv")]) == 2
    assert "oculus" in capsys.readouterr().err and not (tmp_path / "b.csv").exists()


def test_contacts_fit_heads_whose_landmarks_nobody_knows(tmp_path, monkeypatch):
    """An artist's ARKit head of unknown topology: its own shapes tell where its lips are, and how they part."""
    from kmtalk_core.assets import DEMO_HEAD
    from kmtalk_core.files import save_npz
    from kmtalk_core.retarget import own_lips
    from kmtalk_core.rig.articulation import build_rig
    from kmtalk_core.rig.mesh import load_mesh

    mesh = load_mesh(DEMO_HEAD)
    rig = build_rig(mesh)
    names = ("jawOpen", "mouthClose", "mouthFunnel", "mouthPressLeft")
    arrays = {
        "vertices": 100.0 * rig.neutral,
        "faces": mesh.faces,
        "control_names": np.array(names),
        "shapes": 100.0 * rig.shapes[[rig.control_names.index(name) for name in names]],
    }
    save_npz(arrays, tmp_path / "head.npz")

    def unknown(mesh):
        raise InputError("unknown")

    monkeypatch.setattr(own_lips, "find_landmarks", unknown)
    lips = own_lips.lips_of(tmp_path / "head.npz")
    assert lips.opening["jawOpen"] == pytest.approx(25.6, abs=2.0)
    assert lips.opening["mouthClose"] == pytest.approx(-lips.opening["jawOpen"], rel=0.05)
    assert lips.rest < 1.0


def test_a_face_is_measured_for_blender(tmp_path):
    from kmtalk_core.files import save_npz
    from kmtalk_core.service.protocol import MeasureFace
    from kmtalk_core.service.worker import serve

    neutral, shapes, face = demo_shapes("oculus")
    arrays = {
        "vertices": neutral, "target_names": np.array(face.targets), "looks": face.looks,
        "shapes": shapes.astype(np.float32),
    }  # fmt: skip
    save_npz(arrays, tmp_path / "head.npz")
    serve(MeasureFace(str(tmp_path / "head.npz"), str(tmp_path / "face.npz")), lambda *_: None)
    known = Face.unpacked((tmp_path / "face.npz").read_bytes())
    assert known.targets == face.targets and known.motion.shape == (len(face.targets), 7, 2, 3)
