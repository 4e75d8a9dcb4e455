"""The articulation rig: contacts, rigid parts, what stays still, and that the form of the mesh does not matter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kmtalk_core.errors import InputError
from kmtalk_core.rig import anatomy, contacts
from kmtalk_core.rig.__main__ import main
from kmtalk_core.rig.articulation import CHUNK_FRAMES, Rig, build_rig
from kmtalk_core.rig.controls import CONTROLS
from kmtalk_core.rig.mesh import Mesh, load_mesh
from kmtalk_core.rig.naming import match_controls
from kmtalk_core.rig.profiles import DEMO_HEAD, find_landmarks
from kmtalk_core.rig.surface import edges_of

DATA = Path(__file__).parents[2] / "shared" / "data" / "mesh"
FLAME = DATA / "FLAME_sample.ply"
needs_flame = pytest.mark.skipif(not FLAME.is_file(), reason="the FLAME sample (../shared/data/mesh) is not here")
HEADS = ["demo head", pytest.param("FLAME", marks=needs_flame)]


@pytest.fixture(scope="module")
def rigs():
    """Head → (mesh, rig), each built once."""
    built: dict[str, tuple[Mesh, Rig]] = {}

    def get(head: str) -> tuple[Mesh, Rig]:
        if head not in built:
            mesh = load_mesh(DEMO_HEAD if head == "demo head" else FLAME)
            built[head] = mesh, build_rig(mesh)
        return built[head]

    return get


def part(rig: Rig, role: str) -> np.ndarray:
    return np.concatenate([p.vertices for p in rig.anatomy.parts if p.role == role])


def shape(rig: Rig, name: str) -> np.ndarray:
    """(V, 3) mm in the head's frame."""
    return rig.anatomy.frame.vectors_to_frame(rig.shapes[rig.control_names.index(name)])


@pytest.mark.parametrize("jaw", contacts.JAW_OPENINGS)
@pytest.mark.parametrize("head", HEADS)
def test_lips_are_closed_in_a_bilabial_closure_at_any_jaw_opening(rigs, head, jaw):
    _, rig = rigs(head)
    gap, overlap = contacts.lip_gap(rig, contacts.posed(rig, contacts.bilabial(jaw)))
    assert gap < 0.5 and overlap < 0.5
    chin = contacts.posed(rig, contacts.bilabial(jaw))[rig.anatomy.vertex_of[rig.anatomy.marks[8]]]
    assert rig.anatomy.p[8, 1] - chin[1] >= 20 * jaw, "the jaw behind the lips must stay open"


@pytest.mark.parametrize("head", HEADS)
def test_mouth_close_on_an_open_jaw_leaves_the_lips_as_at_rest(rigs, head):
    _, rig = rigs(head)
    rest = contacts.lip_aperture(rig, rig.anatomy.points)
    for jaw in (0.1, 0.25, 0.4, 1.0):
        closed = contacts.posed(rig, {"jawOpen": jaw, "mouthClose": jaw})
        assert abs(contacts.lip_aperture(rig, closed) - rest) < 0.3


@pytest.mark.parametrize("head", HEADS)
def test_speech_opens_the_mouth_as_far_as_people_do(rigs, head):
    _, rig = rigs(head)
    rest = contacts.lip_aperture(rig, rig.anatomy.points)
    at = {jaw: contacts.lip_aperture(rig, contacts.posed(rig, {"jawOpen": jaw})) - rest for jaw in (0.4, 1.0)}
    assert 9 < at[0.4] < 15 and 25 < at[1.0] < 36


def test_labiodentals_touch_the_upper_teeth(rigs):
    _, rig = rigs("demo head")
    distance = contacts.lip_to_upper_teeth(rig, contacts.posed(rig, contacts.labiodental()))
    assert distance is not None and distance < 1.0
    apart = contacts.lip_to_upper_teeth(rig, contacts.posed(rig, {"jawOpen": 0.4}))
    assert apart is not None and apart > 5


@pytest.mark.parametrize("head", HEADS)
def test_blinks_close_the_eyes_and_slide_over_the_eyeballs(rigs, head):
    _, rig = rigs(head)
    assert contacts.lid_gap(rig, rig.anatomy.points) > 5
    for value in (0.25, 0.5, 0.75, 1.0):
        points = contacts.posed(rig, {"eyeBlinkLeft": value, "eyeBlinkRight": value})
        assert contacts.lids_in_eyeballs(rig, points) < 0.3
    assert contacts.lid_gap(rig, points) < 0.5


@pytest.mark.parametrize("head", HEADS)
def test_pucker_narrows_and_protrudes_and_funnel_opens_round(rigs, head):
    _, rig = rigs(head)
    a = rig.anatomy

    def mouth(**controls: float) -> tuple[float, float, float]:
        points = contacts.posed(rig, controls)[a.vertex_of]
        width = np.linalg.norm(points[a.marks[54]] - points[a.marks[48]])
        front = points[a.marks[[51, 57]], 2].mean()
        return float(width), float(front), contacts.lip_aperture(rig, contacts.posed(rig, controls))

    rest, pucker, funnel = mouth(), mouth(mouthPucker=1), mouth(mouthFunnel=1)
    smile = mouth(mouthSmileLeft=1, mouthSmileRight=1)
    assert pucker[0] < 0.7 * rest[0] and pucker[1] > rest[1] + 3 and abs(pucker[2] - rest[2]) < 1
    assert funnel[0] < 0.85 * rest[0] and funnel[1] > rest[1] + 2 and funnel[2] > rest[2] + 5
    assert smile[0] > 1.15 * rest[0]


@pytest.mark.parametrize("head", HEADS)
def test_every_control_moves_something_and_nothing_moves_neck_or_scalp(rigs, head):
    _, rig = rigs(head)
    a = rig.anatomy
    for name in CONTROLS:
        reach = np.linalg.norm(shape(rig, name), axis=1).max()
        has_tongue = any(p.role == "tongue" for p in a.parts)
        assert reach > 1 or (name.startswith("tongue") and not has_tongue), name
    height = a.p[27, 1] - a.p[8, 1]
    fixed = (a.points[:, 1] < a.p[8, 1] - 0.35 * height) | (a.points[:, 2] < a.p[[0, 16], 2].mean() - 0.1 * height)
    fixed |= a.points[:, 1] > a.p[17:27, 1].mean() + 0.5 * height
    fixed[np.concatenate([p.vertices for p in a.parts] or [[]]).astype(int)] = False
    assert fixed.sum() > 300
    assert np.abs(rig.shapes[: len(CONTROLS), fixed]).max() == 0


@needs_flame
def test_neck_scalp_and_ears_of_flame_stay(rigs):
    _, rig = rigs("FLAME")
    regions = np.load(DATA / "flame_regions.npz")
    for region in ("boundary", "left_ear", "right_ear", "scalp"):
        for name in CONTROLS:
            assert np.linalg.norm(shape(rig, name)[regions[region]], axis=1).max() < 0.5, (region, name)


@pytest.mark.parametrize("head", HEADS)
def test_eyeballs_are_rigid_and_turn_about_their_centres(rigs, head):
    _, rig = rigs(head)
    a = rig.anatomy
    for side, eye in (("Right", a.eyes[0]), ("Left", a.eyes[1])):
        ball = part(rig, f"eye_{side.lower()}")
        for name in CONTROLS:
            move = shape(rig, name)[ball]
            if name.startswith("eyeLook") and name.endswith(side):
                before, after = a.points[ball] - eye.centre, a.points[ball] + move - eye.centre
                assert np.allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), atol=1e-6)
                gaze = after[np.argmax(before[:, 2])] - before[np.argmax(before[:, 2])]
                way = name.removeprefix("eyeLook").removesuffix(side)
                nose = -np.sign(eye.centre[0])
                assert {"Up": gaze[1], "Down": -gaze[1], "In": nose * gaze[0], "Out": -nose * gaze[0]}[way] > 3
            else:
                assert np.abs(move).max() == 0, name


def test_teeth_follow_skull_and_jaw(rigs):
    _, rig = rigs("demo head")
    a = rig.anatomy
    lower = part(rig, "teeth_lower")
    assert np.abs(rig.shapes[: len(CONTROLS), part(rig, "teeth_upper")]).max() == 0
    for name in CONTROLS:
        move = shape(rig, name)[lower]
        if not name.startswith("jaw"):
            assert np.abs(move).max() == 0, name
            continue
        before, after = a.points[lower], a.points[lower] + move
        pick = np.random.default_rng(0).integers(len(lower), size=(2, 200))
        length = np.linalg.norm(before[pick[0]] - before[pick[1]], axis=1)
        assert np.allclose(np.linalg.norm(after[pick[0]] - after[pick[1]], axis=1), length, atol=1e-6), name
    assert shape(rig, "jawOpen")[lower, 1].max() < -15


def test_tongue_shapes_lead_with_the_tip_or_the_body(rigs):
    _, rig = rigs("demo head")
    tongue = part(rig, "tongue")
    depth = rig.anatomy.points[tongue, 2]
    tip, root = tongue[depth > np.quantile(depth, 0.95)], tongue[depth < np.quantile(depth, 0.05)]
    assert shape(rig, "tongueOut")[tip, 2].mean() > 20 > 5 > np.abs(shape(rig, "tongueOut")[root]).max()
    assert shape(rig, "tongueTipUp")[tip, 1].mean() > 5
    middle = tongue[np.abs(depth - depth.min() - 0.42 * np.ptp(depth)) < 3]
    assert shape(rig, "tongueBodyUp")[middle, 1].mean() > 4 > shape(rig, "tongueBodyUp")[tip, 1].mean()


def front_teeth_and_tongue(rig: Rig, controls: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upper and lower incisors and the front 6 mm of the tongue, (k, 3) mm, in a pose."""
    points = contacts.posed(rig, controls)
    upper, lower, tongue = (points[part(rig, role)] for role in ("teeth_upper", "teeth_lower", "tongue"))
    upper, lower, tongue = (p[np.abs(p[:, 0]) < 8] for p in (upper, lower, tongue))
    return upper, lower[lower[:, 2] > lower[:, 2].max() - 5], tongue[tongue[:, 2] > tongue[:, 2].max() - 6]


def test_the_tongue_lies_between_the_teeth_in_th(rigs):
    _, rig = rigs("demo head")
    upper, lower, tongue = front_teeth_and_tongue(rig, {"jawOpen": 0.16, "tongueOut": 0.45, "tongueTipUp": 0.15})
    edge = upper[upper[:, 1] < upper[:, 1].min() + 1.5]
    assert tongue[:, 2].max() > edge[:, 2].max() + 1  # in front of the incisors, where it is seen
    assert tongue[:, 2].max() < contacts.posed(rig, {"jawOpen": 0.16})[rig.anatomy.vertex_of[rig.anatomy.marks[66]], 2]
    assert lower[:, 1].max() - 1.5 < tongue[np.argmax(tongue[:, 2]), 1] < edge[:, 1].min()


@pytest.mark.parametrize(("jaw", "up"), [(0.13, 0.4), (0.26, 0.58)])
def test_the_tip_of_the_tongue_is_at_the_upper_incisors_in_n_and_l(rigs, jaw, up):
    _, rig = rigs("demo head")
    upper, _, tongue = front_teeth_and_tongue(rig, {"jawOpen": jaw, "tongueTipUp": up})
    edge = upper[upper[:, 1] < upper[:, 1].min() + 1.5]
    assert tongue[:, 1].max() > edge[:, 1].min() > tongue[:, 1].min()  # seen below them
    assert -4 < tongue[:, 2].max() - edge[:, 2].mean() < 1  # behind them


def test_the_lower_lip_lies_on_the_upper_incisors_in_f(rigs):
    _, rig = rigs("demo head")
    points = contacts.posed(rig, contacts.labiodental())
    upper, _, _ = front_teeth_and_tongue(rig, contacts.labiodental())
    on = rig.anatomy.vertex_of[rig.anatomy.marks]
    edge, lower_lip, upper_lip = upper[:, 1].min(), points[on[66], 1], points[on[62], 1]
    assert lower_lip > edge + 1  # no slit below the teeth
    assert upper_lip > lower_lip + 1  # which are seen above the lip


def test_a_rounded_mouth_is_a_small_hole_below_the_teeth(rigs):
    _, rig = rigs("demo head")
    on = rig.anatomy.vertex_of[rig.anatomy.marks]
    rest, points = (
        contacts.posed(rig, c)[on] for c in ({}, {"jawOpen": 0.08, "mouthFunnel": 0.34, "mouthPucker": 0.74})
    )
    middle = points[62, 1] - points[66, 1]
    beside = [points[upper, 1] - points[lower, 1] for upper, lower in ((61, 67), (63, 65))]
    assert max(beside) < 0.8 * middle
    assert np.ptp(points[[48, 54], 0]) < 0.65 * np.ptp(rest[[48, 54], 0])
    assert (points[[51, 57], 2] - rest[[51, 57], 2]).min() > 4.5
    assert np.ptp([points[[62, 66], 1].mean(), points[60, 1]]) < np.ptp([rest[[62, 66], 1].mean(), rest[60, 1]])


def test_brows_and_lashes_stay_on_the_skin(rigs):
    """Parts that lie on the skin keep their distance to it in every shape."""
    mesh, rig = rigs("demo head")
    names = mesh.component_names
    on_skin = np.flatnonzero(np.isin(mesh.components, [names.index(n) for n in ("brow_left", "brow_right")]))
    a = rig.anatomy
    near = a.vertex_of[np.argmin(((a.points[on_skin][:, None] - a.skin[None]) ** 2).sum(2), axis=1)]
    for name in CONTROLS:
        move = shape(rig, name)
        assert np.linalg.norm(move[on_skin] - move[near], axis=1).max() < 2.5, name


@pytest.mark.parametrize("head", HEADS)
def test_no_triangle_of_the_face_turns_over(rigs, head):
    """At control 1.0; mouthClose acts on an open jaw by definition."""
    _, rig = rigs(head)
    for name in CONTROLS:
        points = contacts.posed(rig, {name: 1.0} | ({"jawOpen": 1.0} if name == "mouthClose" else {}))
        assert contacts.turned_triangles(rig, points) == 0, name
    inside_out = rig.anatomy.points * [1, 1, -1]
    assert contacts.turned_triangles(rig, inside_out) > 1000


def test_a_symmetric_head_gets_symmetric_shapes(rigs):
    _, rig = rigs("demo head")
    error = contacts.symmetry_error(rig)
    assert error is not None and error < 1e-3
    left, right = shape(rig, "mouthSmileLeft"), shape(rig, "mouthSmileRight")
    on_left = rig.anatomy.points[:, 0] > 15
    assert np.linalg.norm(left[on_left], axis=1).max() > 8 > 1 > np.linalg.norm(right[on_left], axis=1).max()


@pytest.mark.parametrize("head", HEADS)
def test_scale_pose_axes_and_vertex_order_do_not_matter(rigs, head):
    mesh, rig = rigs(head)
    turn = Rotation.from_euler("xyz", [97, -33, 61], degrees=True)
    order = np.random.default_rng(1).permutation(len(mesh.vertices))  # new index → old
    back = np.argsort(order)
    moved = Mesh(
        (turn.apply(mesh.vertices) * 250 + [1000, -30, 5])[order],
        back[mesh.faces],
        None if mesh.components is None else mesh.components[order],
        mesh.component_names,
        None if mesh.landmarks is None else back[mesh.landmarks],
    )
    other = build_rig(moved)
    expected = turn.apply(rig.shapes.reshape(-1, 3)).reshape(rig.shapes.shape) * 250
    millimetre = 250 / rig.anatomy.frame.scale
    assert np.abs(other.shapes[:, back] - expected).max() < 0.05 * millimetre
    assert np.array_equal(other.neutral, moved.vertices)


@pytest.mark.parametrize("head", HEADS)
def test_a_mirrored_mesh_still_has_its_nose_in_front(rigs, head):
    """Left-handed files: x negated, the landmarks named for the sides that they now lie on."""
    mesh, rig = rigs(head)
    marks = find_landmarks(mesh)
    mirrored = replace(mesh, vertices=mesh.vertices * [-1, 1, 1], faces=mesh.faces[:, ::-1], landmarks=marks)
    other = build_rig(mirrored)
    jaw = CONTROLS.index("jawOpen")
    assert np.allclose(other.shapes[jaw], rig.shapes[jaw] * [-1, 1, 1], atol=1e-4 / rig.anatomy.frame.scale * 10)


def test_roles_are_guessed_where_components_have_no_names(rigs):
    mesh, rig = rigs("demo head")
    guessed = build_rig(replace(mesh, components=None, component_names=None))
    for role in ("eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue"):
        assert set(part(guessed, role)) == set(part(rig, role)), role


@pytest.mark.parametrize("head", HEADS)
def test_a_bare_mask_without_eyeballs_and_inner_mouth_works_too(rigs, head):
    mesh, rig = rigs(head)
    a = rig.anatomy
    skin = np.zeros(len(mesh.vertices), dtype=bool)
    skin[a.vertex_of[a.outer]] = True
    mask = build_rig(Mesh(mesh.vertices, mesh.faces[skin[mesh.faces].all(1)]), find_landmarks(mesh))
    assert not mask.anatomy.parts
    for row in contacts.contact_figures(mask):
        assert row.kept or row.unit != "mm", row


def test_a_seam_that_splits_vertices_does_not_tear(rigs):
    """Importers split vertices along texture seams; the halves must move as one."""
    mesh, rig = rigs("demo head")
    a = rig.anatomy
    in_face = (a.skin_of[mesh.faces] >= 0).all(1)
    left = in_face & (a.points[mesh.faces][:, :, 0].mean(1) > 0)
    border = np.intersect1d(mesh.faces[left], mesh.faces[in_face & ~left])
    doubles = np.arange(len(border)) + len(mesh.vertices)
    other = np.arange(len(mesh.vertices))
    other[border] = doubles
    faces = mesh.faces.copy()
    faces[left] = other[faces[left]]
    split = Mesh(
        np.concatenate([mesh.vertices, mesh.vertices[border]]),
        faces,
        np.concatenate([mesh.components, mesh.components[border]]),
        mesh.component_names,
        mesh.landmarks,
    )
    torn = build_rig(split)
    assert np.array_equal(torn.shapes[:, border], torn.shapes[:, doubles])
    assert np.abs(torn.shapes[:, : len(mesh.vertices)] - rig.shapes).max() < 0.05 / a.frame.scale


def test_vertices_are_the_same_whole_in_chunks_and_into_a_file(rigs, tmp_path):
    _, rig = rigs("demo head")
    names = ("jawOpen", "eyeBlinkLeft", "mouthPucker")
    controls = np.random.default_rng(0).random((CHUNK_FRAMES + 3, 3), dtype=np.float32)
    whole = rig.vertices(controls, names)
    assert whole.shape == (len(controls), *rig.neutral.shape) and whole.dtype == np.float32
    one = rig.neutral + np.tensordot(controls[-1], rig.shapes[[CONTROLS.index(n) for n in names]], 1)
    assert np.allclose(whole[-1], one, atol=1e-5)
    mapped = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.float32, whole.shape)
    rig.vertices(controls, names, out=mapped)
    assert np.array_equal(mapped, whole)
    assert np.array_equal(rig.vertices(np.zeros((2, 0)), ()), np.stack([rig.neutral.astype(np.float32)] * 2))
    with pytest.raises(InputError, match="no control jawOpne"):
        rig.vertices(controls[:, :1], ("jawOpne",))
    with pytest.raises(InputError, match="do not fit"):
        rig.vertices(controls, names[:2])


@needs_flame
def test_flame_is_recognised_in_any_vertex_order(rigs):
    mesh, _ = rigs("FLAME")
    known = [int(n) for n in (DATA / "flame_landmarks_68.txt").read_text().split()]
    assert find_landmarks(mesh).tolist() == known
    order = np.random.default_rng(2).permutation(len(mesh.vertices))
    shuffled = Mesh(mesh.vertices[order] * [1, -1, -1], np.argsort(order)[mesh.faces][::-1])
    assert order[find_landmarks(shuffled)].tolist() == known


def test_the_demo_head_is_recognised_without_its_landmarks(rigs):
    mesh, _ = rigs("demo head")
    assert np.array_equal(find_landmarks(replace(mesh, landmarks=None)), mesh.landmarks)


def test_unknown_topology_asks_for_landmarks(rigs):
    mesh, _ = rigs("demo head")
    with pytest.raises(InputError, match="pick its 68 face landmarks"):
        build_rig(Mesh(*_refined(mesh)))


def _refined(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Every triangle split into three about its centre."""
    centre = len(mesh.vertices) + np.arange(len(mesh.faces))
    a, b, c = mesh.faces.T
    faces = np.concatenate([np.stack([p, q, centre], axis=1) for p, q in ((a, b), (b, c), (c, a))])
    return np.concatenate([mesh.vertices, mesh.vertices[mesh.faces].mean(1)]), faces


def test_wrong_landmarks_are_told_in_one_sentence(rigs):
    mesh, rig = rigs("demo head")
    marks = mesh.landmarks
    wrong = {
        "needs 68 landmarks": marks[:67],
        "do not form a face": np.concatenate([marks[:36], marks[48:60], marks[36:48], marks[60:]]),
        "same vertex": np.concatenate([marks[:67], marks[66:67]]),
        "another part": np.concatenate([marks[:36], part(rig, "eye_right")[:1], marks[37:]]),
    }
    for text, picked in wrong.items():
        with pytest.raises(InputError, match=text) as error:
            build_rig(mesh, picked)
        assert str(error.value).endswith(".") and str(error.value).count(". ") == 0


def test_existing_shape_keys_are_matched_by_the_usual_spellings():
    spelled = [
        "Basis",
        "JawOpen",
        "jaw_open",
        "mouthSmile_L",
        "Face.mouthSmileRight",
        "BROW_INNER_UP",
        "cheek-puff",
        "x",
    ]
    assert match_controls(spelled) == {
        "browInnerUp": "BROW_INNER_UP",
        "cheekPuff": "cheek-puff",
        "jawOpen": "JawOpen",
        "mouthSmileLeft": "mouthSmile_L",
        "mouthSmileRight": "Face.mouthSmileRight",
    }
    assert match_controls(CONTROLS) == {name: name for name in CONTROLS}
    assert match_controls(["mouthLeft", "mouth_r", "eyeBlink.L", "eyeLookOut_R"]) == {
        "mouthLeft": "mouthLeft", "mouthRight": "mouth_r",
        "eyeBlinkLeft": "eyeBlink.L", "eyeLookOutRight": "eyeLookOut_R",
    }  # fmt: skip


def test_the_command_prints_the_contact_figures(capsys):
    status = main([str(DEMO_HEAD)])
    printed = capsys.readouterr().out
    assert "bilabial closure, jaw 0.4: largest gap" in printed and "57 controls" in printed
    assert status == (1 if "NOT KEPT" in printed else 0)


def test_the_command_names_what_is_wrong(capsys):
    assert main(["nothing.ply"]) == 2
    assert "no file nothing.ply" in capsys.readouterr().err


@pytest.mark.parametrize("head", HEADS)
def test_a_mirrored_head_has_its_left_on_its_left(rigs, head):
    mesh, _ = rigs(head)
    rig = build_rig(Mesh(mesh.vertices, mesh.faces))
    for faces in (mesh.faces[:, ::-1], mesh.faces):  # turned with the mirror, as Blender does, or left as they were
        mirrored = build_rig(Mesh(mesh.vertices * [-1, 1, 1], faces))
        for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "cheekPuff", "mouthLeft"):
            other = name.replace("Left", "#").replace("Right", "Left").replace("#", "Right")
            wanted = rig.shapes[rig.control_names.index(other)] * [-1, 1, 1]
            found = mirrored.shapes[mirrored.control_names.index(name)]
            assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_the_cheeks_puff_out_of_a_head_whose_faces_look_inwards(rigs):
    mesh, rig = rigs("demo head")
    inside_out = build_rig(replace(mesh, faces=mesh.faces[:, ::-1]))
    assert np.allclose(shape(inside_out, "cheekPuff"), shape(rig, "cheekPuff"), atol=1e-3)


def test_each_edge_is_told_once_with_how_many_triangles_have_it():
    faces = np.array([[0, 1, 2], [2, 1, 3], [3, 2, 4]], np.int32)
    edges, owners = edges_of(5, faces)
    assert edges.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [2, 4], [3, 4]]
    assert owners.tolist() == [1, 1, 2, 1, 2, 1, 1]


def test_edges_of_an_opening_that_run_together_near_a_corner_part_there():
    skin = np.array([[x, 0.0, 0.0] for x in range(50)])
    upper, lower = np.array([0, 1, 2, 30, 31, 45, 49]), np.array([0, 3, 2, 20, 21, 45, 49])
    cut = anatomy._parted(upper, lower, skin)
    assert cut[0].tolist() == [2, 30, 31, 45] and cut[1].tolist() == [2, 20, 21, 45]


def test_teeth_without_incisors_leave_the_usual_way():
    mesh = load_mesh(DEMO_HEAD)
    own = mesh.components == mesh.component_names.index("teeth_upper")
    away = mesh.vertices.copy()
    away[own, 0] += 0.02
    found = build_rig(replace(mesh, vertices=away), find_landmarks(mesh))
    assert np.isfinite(found.shapes).all()
