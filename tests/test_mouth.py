"""Lips and teeth measured on meshes: the report in mm on this very mesh, and contacts fitted to an artist's shapes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_finish import result, spoken

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.finish.compose import finish
from kmtalk_core.finish.contact_poses import LIPS, TEETH, contact_pose
from kmtalk_core.finish.report import contact_report
from kmtalk_core.rig import contacts
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.mouth import lip_line, measure_mouth, mouth_of, on_surface
from kmtalk_core.rig.profiles import find_landmarks

FLAME = Path(__file__).parents[2] / "shared" / "data" / "mesh" / "FLAME_sample.ply"


@pytest.fixture(scope="module")
def head():
    mesh = load_mesh(DEMO_HEAD)
    return mesh, build_rig(mesh)


def pose(**controls):
    out = np.zeros((1, len(ALL_CONTROLS)), np.float32)
    for name, value in controls.items():
        out[0, CONTROL_INDEX[name]] = value
    return out


def test_distances_are_those_of_the_moved_vertices(head):
    mesh, rig = head
    mouth = mouth_of(rig, mesh.faces)
    for controls in ({}, {"jawOpen": 0.4}, {"jawOpen": 0.2, "mouthClose": 0.1, "mouthRollLower": 0.5, "headYaw": 1.0}):
        points = contacts.posed(rig, {name: v for name, v in controls.items() if name != "headYaw"})
        gap = mouth.lip_gap(pose(**controls), ALL_CONTROLS)
        assert gap[0, 1] == pytest.approx(contacts.lip_aperture(rig, points), abs=1e-3)
        to_teeth = mouth.teeth_gap(pose(**controls), ALL_CONTROLS)
        assert 0 <= to_teeth[0] <= contacts.lip_to_upper_teeth(rig, points) + 0.5


def test_the_contact_poses_hold_on_the_head(head):
    mesh, rig = head
    mouth = mouth_of(rig, mesh.faces)
    for jaw in (0.0, 0.1, 0.4, 0.8):
        open_mouth = pose(jawOpen=jaw, mouthFunnel=0.3, mouthUpperUpLeft=0.4, mouthSmileRight=0.5, mouthPucker=0.3)
        closed = mouth.lip_gap(contact_pose(open_mouth, ALL_CONTROLS, LIPS), ALL_CONTROLS)
        assert np.abs(closed).max() < 0.5
        assert mouth.teeth_gap(contact_pose(open_mouth, ALL_CONTROLS, TEETH), ALL_CONTROLS)[0] < 0.5


def test_lips_that_are_parted_at_rest_seal(head):
    mesh, rig = head
    apart = {"jawOpen": 0.08, "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2}
    vertices = rig.neutral + sum(v * rig.shapes[rig.control_names.index(name)] for name, v in apart.items())
    turn = Rotation.from_euler("xyz", [10, -70, 130], degrees=True).as_matrix()
    mesh = replace(mesh, vertices=37 * vertices @ turn.T + [5, 6, 7], landmarks=find_landmarks(mesh))
    parted = build_rig(mesh)
    assert contacts.lip_gap(parted, parted.anatomy.points)[0] > 1.5
    for jaw in contacts.JAW_OPENINGS:
        gap, overlap = contacts.lip_gap(parted, contacts.posed(parted, contacts.bilabial(jaw)))
        assert gap < 0.5 and overlap < 0.5
    mouth = mouth_of(parted, mesh.faces)
    said = finish(result(spoken("AA P AA F AA M")), lip_line=lip_line(mouth))
    assert not contact_report(said, mouth).violations


@pytest.mark.skipif(not FLAME.is_file(), reason="the FLAME sample (../shared/data/mesh) is not here")
def test_contacts_hold_on_flame_whose_lips_are_parted_at_rest():
    mesh = load_mesh(FLAME)
    mouth = mouth_of(build_rig(mesh), mesh.faces)
    assert mouth.rest.min() > 1.5 and mouth.teeth is None
    report = contact_report(finish(result(spoken("AA P AA F AA M"), wild=True), lip_line=lip_line(mouth)), mouth)
    assert report.measured and report.contacts == 3 and not report.violations


def artists_head(head):
    """A head whose mouthClose closes but 70 % of what jawOpen opens, and whose mouthPress presses nothing."""
    mesh, rig = head
    shapes = dict(zip(rig.control_names, rig.shapes.copy(), strict=True))
    shapes["mouthClose"] *= 0.7
    for name in ("mouthPressLeft", "mouthPressRight"):
        shapes[name] *= 0.0
    teeth = np.concatenate([p.vertices for p in rig.anatomy.parts if p.role == "teeth_upper"])
    inside = np.isin(mesh.faces, teeth).all(1)
    return measure_mouth(mesh.vertices, shapes, find_landmarks(mesh), on_surface(mesh.vertices, mesh.faces[inside]))


def test_contacts_fit_the_shapes_of_an_artist(head):
    mouth = artists_head(head)
    generic = result(spoken("SIL AA P AA M AA SIL"))
    missed = contact_report(generic, mouth).violations
    assert [v.phone for v in missed] == ["P", "M"]
    assert all(v.apart > 1.5 and "mouthClose" in v.reason for v in missed)
    fitted = finish(generic, lip_line=lip_line(mouth))
    assert not contact_report(fitted, mouth).violations
    assert (
        fitted.controls[:, CONTROL_INDEX["mouthClose"]].max() > generic.controls[:, CONTROL_INDEX["mouthClose"]].max()
    )


def test_without_a_closing_shape_the_jaw_closes_the_mouth(head):
    mesh, rig = head
    shapes = {name: move for name, move in zip(rig.control_names, rig.shapes, strict=True) if name == "jawOpen"}
    mouth = measure_mouth(mesh.vertices, shapes, find_landmarks(mesh))
    fitted = finish(result(spoken("AA P AA")), lip_line=lip_line(mouth))
    assert not contact_report(fitted, mouth).violations
    assert mouth.teeth_gap(fitted.controls, ALL_CONTROLS) is None
