"""Files of the programs that families come from: Unity's animation clips, VRM animations, mouth charts."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..glb import write_glb
from ..motion import Animation, Targets
from ..rig.controls import HEAD_CONTROLS, HEAD_DEG
from .charts import cues_of, mouths_of
from .families import Family, families
from .wear import family_in, in_family

UNITY_PATH = "Face"  # of the renderer below the animated object; edited in Unity, or in the file
SKINNED_MESH_RENDERER = 137
VRM_PRESETS = {
    "aa": "aa", "ih": "ih", "ou": "ou", "ee": "ee", "oh": "oh", "blink": "blink", "blinkLeft": "blinkLeft",
    "blinkRight": "blinkRight",
}  # fmt: skip
FLOAT, LINEAR = 5126, "LINEAR"  # of glTF
BONES = ("hips", "spine", "neck", "head")


def write_unity(animation: Animation, path: Path) -> None:
    """A Unity animation clip with a curve for each shape, 0 to 100: of the family, or ARKit's names."""
    names, weights = curves_of(animation)
    lines = [
        "%YAML 1.1", "%TAG !u! tag:unity3d.com,2011:", "--- !u!74 &7400000", "AnimationClip:",
        "  m_ObjectHideFlags: 0", "  m_Name: KMTalk", "  serializedVersion: 6", "  m_Legacy: 0", "  m_Compressed: 0",
        "  m_UseHighQualityCurve: 1", "  m_RotationCurves: []", "  m_CompressedRotationCurves: []",
        "  m_EulerCurves: []", "  m_PositionCurves: []", "  m_ScaleCurves: []", "  m_FloatCurves:",
    ]  # fmt: skip
    for name, values in zip(names, weights.T, strict=True):
        lines += ["  - curve:", "      serializedVersion: 2", "      m_Curve:"]
        for time, value in zip(animation.times, 100.0 * values, strict=True):
            lines += [
                "      - serializedVersion: 3", f"        time: {time:.6g}", f"        value: {value:.6g}",
                "        inSlope: 0", "        outSlope: 0", "        tangentMode: 34", "        weightedMode: 0",
                "        inWeight: 0.33333334", "        outWeight: 0.33333334",
            ]  # fmt: skip
        lines += [
            "      m_PreInfinity: 2", "      m_PostInfinity: 2", "      m_RotationOrder: 4",
            f"    attribute: blendShape.{name}", f"    path: {UNITY_PATH}", f"    classID: {SKINNED_MESH_RENDERER}",
            "    script: {fileID: 0}",
        ]  # fmt: skip
    stop = f"{animation.times[-1]:.6g}"
    lines += [
        "  m_PPtrCurves: []", f"  m_SampleRate: {animation.fps:.6g}", "  m_WrapMode: 0", "  m_AnimationClipSettings:",
        "    serializedVersion: 2", "    m_StartTime: 0", f"    m_StopTime: {stop}", "    m_LoopTime: 0",
        "  m_EditorCurves: []", "  m_EulerEditorCurves: []", "  m_HasGenericRootTransform: 0", "  m_Events: []",
    ]  # fmt: skip
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def write_vrma(animation: Animation, path: Path) -> None:
    """A VRM animation (.vrma, VRMC_vrm_animation 1.0): expressions and the head. Other families become VRM 1's."""
    family = family_in(animation.targets) if animation.targets is not None else None
    if family is None or not {"aa", "oh"} <= set(family.by_name):
        animation = in_family(animation, families()["vrm1"])
    names, weights = curves_of(animation)
    expressions = [
        (VRM_PRESETS[name], values) for name, values in zip(names, weights.T, strict=True) if name in VRM_PRESETS
    ]
    binary = bytearray()
    accessors, views, channels, samplers = [], [], [], []

    def add(values: np.ndarray, kind: str) -> int:
        data = np.ascontiguousarray(values, "<f4")
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": data.nbytes})
        accessor = {"bufferView": len(views) - 1, "componentType": FLOAT, "count": len(data), "type": kind}
        if kind == "SCALAR":
            accessor |= {"min": [float(data.min())], "max": [float(data.max())]}
        accessors.append(accessor)
        binary.extend(data.tobytes())
        return len(accessors) - 1

    nodes: list[dict[str, object]] = [
        {"name": bone, "translation": [0.0, 1.0 if bone == "hips" else 0.2, 0.0], "children": [place + 1]}
        for place, bone in enumerate(BONES)
    ]
    del nodes[-1]["children"]
    time = add(animation.times, "SCALAR")

    def move(node: int, what: str, values: np.ndarray, kind: str) -> None:
        samplers.append({"input": time, "output": add(values, kind), "interpolation": LINEAR})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": what}})

    presets = {}
    for name, values in expressions:
        nodes.append({"name": name})
        presets[name] = {"node": len(nodes) - 1}
        move(len(nodes) - 1, "translation", np.stack([values, 0 * values, 0 * values], axis=1), "VEC3")
    move(BONES.index("head"), "rotation", head_rotations(animation), "VEC4")
    humanoid = {"humanBones": {bone: {"node": place} for place, bone in enumerate(BONES)}}
    data = {
        "asset": {"version": "2.0", "generator": "KMTalk"},
        "extensionsUsed": ["VRMC_vrm_animation"],
        "extensions": {
            "VRMC_vrm_animation": {"specVersion": "1.0", "humanoid": humanoid, "expressions": {"preset": presets}}
        },
        "scene": 0,
        "scenes": [{"nodes": [0, *range(len(BONES), len(nodes))]}],
        "nodes": nodes,
        "animations": [{"name": "KMTalk", "channels": channels, "samplers": samplers}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    write_glb(data, binary, path)


def write_moho(animation: Animation, path: Path) -> None:
    """A switch file of Moho and Papagayo: the frame, counted from 1, on which each of Preston Blair's mouths begins."""
    shown = mouths_of(animation, _chart(animation, "preston_blair"))
    lines = ["MohoSwitch1", *(f"{frame + 1} {name}" for frame, name in cues_of(shown)), f"{len(shown) + 1} rest"]
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def write_rhubarb_tsv(animation: Animation, path: Path) -> None:
    """As Rhubarb Lip Sync writes it: second and mouth, and the end with the idle mouth."""
    shown = mouths_of(animation, _chart(animation, "rhubarb"))
    rows = [f"{frame / animation.fps:.2f}\t{name}" for frame, name in cues_of(shown)]
    rows.append(f"{len(shown) / animation.fps:.2f}\tX")
    path.write_bytes(("\n".join(rows) + "\n").encode("utf-8"))


def write_rhubarb_json(animation: Animation, path: Path) -> None:
    """As Rhubarb Lip Sync writes it with -f json."""
    shown = mouths_of(animation, _chart(animation, "rhubarb"))
    cues = [*cues_of(shown), (len(shown), "")]
    listed = [
        {"start": round(a / animation.fps, 2), "end": round(b / animation.fps, 2), "value": name}
        for (a, name), (b, _) in pairwise(cues)
    ]
    data = {"metadata": {"soundFile": "", "duration": round(len(shown) / animation.fps, 2)}, "mouthCues": listed}
    path.write_bytes((json.dumps(data, indent=1) + "\n").encode("utf-8"))


def curves_of(animation: Animation) -> tuple[tuple[str, ...], np.ndarray]:
    """Names (n,) and weights (T, n) of the family that the result is for, else of our controls."""
    if animation.targets is not None:
        return animation.targets.names, animation.targets.weights.astype(np.float64)
    return animation.control_names, animation.controls.astype(np.float64)


def head_rotations(animation: Animation) -> np.ndarray:
    """(T, 4) quaternions x, y, z, w that turn the head; y up, the face along z: nod, turn to its left, tilt."""
    turns = [_control(animation, name) * np.radians(HEAD_DEG) / 2 for name in HEAD_CONTROLS]
    pitch, yaw, roll = turns[0], turns[1], -turns[2]
    (sx, cx), (sy, cy), (sz, cz) = ((np.sin(a), np.cos(a)) for a in (pitch, yaw, roll))
    return np.stack(  # yaw, then pitch, then roll
        [
            cy * sx * cz + sy * cx * sz,
            sy * cx * cz - cy * sx * sz,
            cy * cx * sz - sy * sx * cz,
            cy * cx * cz + sy * sx * sz,
        ],
        axis=1,
    )


def _control(animation: Animation, name: str) -> np.ndarray:
    if name not in animation.control_names:
        return np.zeros(len(animation.times))
    return animation.controls[:, animation.control_names.index(name)].astype(np.float64)


def _chart(animation: Animation, usual: str) -> Family:
    if animation.alignment.source == "uniform":
        raise InputError(
            "A mouth chart is drawn from phones, and none were looked for; animate with another localizer."
        )
    own = family_in(animation.targets) if isinstance(animation.targets, Targets) else None
    return own if own is not None and own.mouths and own.name == usual else families()[usual]
