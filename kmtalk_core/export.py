"""A result in the formats of other programs. The suffix chooses the format."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .files import written_whole
from .motion import Animation, VertexAnimation
from .rig.controls import EYE_LOOK_DEG, HEAD_DEG

if TYPE_CHECKING:
    from .audio import Sound

Result = Animation | VertexAnimation


@dataclass(frozen=True)
class Stage:
    """What some formats show besides the result: the head in the file `mesh` (None: the demo head), the `sound` of a
    film, and the `name` of the line."""

    mesh: Path | None = None
    sound: Sound | None = None
    name: str = "KMTalk"


Writer = Callable[[Result, Path, Stage], None]

# The columns of Epic's Live Link Face recordings, in their order: ARKit's names, then head and eye rotations.
LIVE_LINK_CONTROLS = (
    *(f"eye{what}{side}" for side in ("Left", "Right") for what in
      ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")),
    "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight",
    "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft",
    "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp",
    "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip
LIVE_LINK_ROTATIONS = tuple(
    f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")
)


OF_BLENDER = (".fbx", ".usd", ".usda", ".usdc", ".abc", ".blend", ".scene.blend")  # which Blender alone writes


def export_animation(animation: Result, path: Path, stage: Stage | None = None) -> None:
    """Write `animation` to `path`, whole or not at all; `stage`: what it is shown on, where the format shows it.

    Raises InputError for an unknown suffix, and where the result lacks the controls or vertices that the format holds.
    """
    write = exporter_for(path)
    with written_whole(path) as partial:
        write(animation, partial, stage or Stage(name=path.stem))


def export_clips(results: Sequence[Result], names: Sequence[str], path: Path, mesh: Path | None = None) -> None:
    """Write several results as the clips `names` of one head, into a .glb. Raises InputError as `export_animation`."""
    from .delivery.gltf import clips_of, write_glb
    from .delivery.heads import head_at

    clips = clips_of(results, names)
    with written_whole(path) as partial:
        write_glb(clips, head_at(mesh), partial)


def exporter_for(path: Path) -> Writer:
    """Return the writer for the suffix of `path`; raises InputError for a suffix that has none."""
    name = path.name.lower()
    for suffix in sorted(EXPORTERS, key=len, reverse=True):
        if name.endswith(suffix.lower()):
            return EXPORTERS[suffix]
    if name.endswith(OF_BLENDER):
        raise InputError(f"Only Blender writes {path.name}; use `kmtalk batch`, or `blender --command kmtalk export`.")
    raise InputError(f"{path} has no known format; end it in {', '.join(EXPORTERS)}.")


def write_csv(animation: Result, path: Path) -> None:
    """One row a frame: frame, time in seconds, 1 where a key motion is nearest to it, then every control.

    Of a result for another family, its shapes instead of the controls.
    """
    names, controls, _ = controls_of(animation)
    if isinstance(animation, Animation) and animation.targets is not None:
        names, controls = animation.targets.names, animation.targets.weights
    key_frames = set(animation.key_frames.tolist())
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "time", "key", *names])
        for frame, (time, pose) in enumerate(zip(animation.times, controls, strict=True)):
            rows.writerow([frame, f"{time:.6f}", int(frame in key_frames), *(f"{value:.6g}" for value in pose)])


def write_live_link_csv(animation: Result, path: Path) -> None:
    """A recording as Epic's Live Link Face app writes it, which Unreal Engine and MetaHuman tools import.

    Rotations are in radians, as ARKit's: yaw to the person's left, pitch down, roll towards the person's right. The
    tongue extras have no column.
    """
    names_of_columns, controls, _ = controls_of(animation)
    if not names_of_columns:
        raise InputError("The result moves vertices and has no controls; export it as .mdd or .pc2.")
    turned = rotations(names_of_columns, controls)
    index = {name: column for column, name in enumerate(names_of_columns)}
    columns = [index.get(name) for name in LIVE_LINK_CONTROLS]
    frames_per_second = max(1, round(animation.fps))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        names = [name[0].upper() + name[1:] for name in LIVE_LINK_CONTROLS]
        rows.writerow(["Timecode", "BlendShapeCount", *names, *LIVE_LINK_ROTATIONS])
        for frame, (pose, turns) in enumerate(zip(controls, turned, strict=True)):
            second, part = divmod(frame, frames_per_second)
            timecode = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}:{part:02}.000"
            values = [f"{pose[column]:.6f}" if column is not None else "0" for column in columns]
            values += [f"{turn:.6f}" for turn in turns]
            rows.writerow([timecode, len(names) + len(LIVE_LINK_ROTATIONS), *values])


def rotations(names: tuple[str, ...], controls: np.ndarray) -> np.ndarray:
    """(T, 9) radians of LIVE_LINK_ROTATIONS for the controls (T, C)."""

    def of(name: str) -> np.ndarray:
        return controls[:, names.index(name)].astype(np.float64) if name in names else np.zeros(len(controls))

    head = [of("headYaw") * HEAD_DEG, of("headPitch") * HEAD_DEG, -of("headRoll") * HEAD_DEG]
    eyes = []
    for side, outwards in (("Left", 1.0), ("Right", -1.0)):
        out, inward = (of(f"eyeLook{way}{side}") * EYE_LOOK_DEG[way] for way in ("Out", "In"))
        down, up = (of(f"eyeLook{way}{side}") * EYE_LOOK_DEG[way] for way in ("Down", "Up"))
        eyes += [outwards * (out - inward), down - up, np.zeros(len(controls))]
    return np.radians(np.stack([*head, *eyes], axis=1)) + 0.0


def write_json(animation: Result, path: Path) -> None:
    """Everything of a result but features and vertices, under the names that OUT.npz uses."""
    control_names, controls, key_controls = controls_of(animation)
    phones, words = animation.alignment.phones, animation.alignment.words

    def rounded(values: np.ndarray) -> list:
        return np.round(values.astype(np.float64), 6).tolist()

    data = {
        "fps": animation.fps,
        "duration": animation.alignment.duration,
        "control_names": list(control_names),
        "times": rounded(animation.times),
        "controls": rounded(controls),
        "key_times": rounded(animation.key_times),
        "key_frames": animation.key_frames.tolist(),
        "key_controls": rounded(key_controls),
        "phones": [{"label": p.label, "start": round(p.start, 6), "end": round(p.end, 6)} for p in phones],
        "words": [{"label": w.label, "start": round(w.start, 6), "end": round(w.end, 6)} for w in words],
        "localizer": animation.alignment.source,
        "warnings": list(animation.alignment.warnings),
        "audio_sha256": animation.audio_sha256,
        "model": animation.model,
        "origin": animation.origin and asdict(animation.origin),
    }
    if isinstance(animation, Animation) and (targets := animation.targets) is not None:
        data["target"] = {
            "family": json.loads(targets.family)["family"],
            "names": list(targets.names),
            "weights": rounded(targets.weights),
            "key_weights": rounded(targets.key_weights),
        }
    path.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def write_alignment(animation: Result, path: Path) -> None:
    """Words and phones as a Praat TextGrid, or the words as subtitles; the suffix chooses."""
    from .localization.textgrid import save_alignment

    save_alignment(animation.alignment, path)


def write_mdd(animation: Result, path: Path) -> None:
    """LightWave's point cache: big-endian counts, times in seconds, then float32 positions frame by frame."""
    vertices = vertices_of(animation)
    with path.open("wb") as file:
        file.write(struct.pack(">ii", len(vertices), vertices.shape[1]))
        file.write(animation.times.astype(">f4").tobytes())
        for frame in vertices:
            file.write(frame.astype(">f4").tobytes())


def write_pc2(animation: Result, path: Path) -> None:
    """Point cache 2 (3ds Max): a 32-byte header, then little-endian float32 positions frame by frame."""
    vertices = vertices_of(animation)
    with path.open("wb") as file:
        file.write(struct.pack("<12siiffi", b"POINTCACHE2\0", 1, vertices.shape[1], 0.0, 1.0, len(vertices)))
        for frame in vertices:
            file.write(frame.astype("<f4").tobytes())


def controls_of(result: Result) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names (C,), motion (T, C) and key motions (m, C) of the controls; none of a result that moves vertices."""
    if isinstance(result, Animation):
        return result.control_names, result.controls, result.keys.controls
    return (), np.zeros((len(result.times), 0)), np.zeros((len(result.key_times), 0))


def vertices_of(animation: Result) -> np.ndarray:
    """Return (T, V, 3); raises InputError where the result holds controls only."""
    if animation.vertices is None:
        raise InputError("The result holds no vertices, which a point cache needs; animate with --mesh and --vertices.")
    return animation.vertices


def with_controls(name: str) -> Callable[[Result, Path], None]:
    """The writer `name` of `retarget.formats`, for results that have controls."""

    def write(animation: Result, path: Path) -> None:
        from .retarget import formats

        if not isinstance(animation, Animation):
            raise InputError("The result moves vertices and has no controls; export it as .mdd or .pc2.")
        getattr(formats, name)(animation, path)

    return write


def write_glb_clip(result: Result, path: Path, stage: Stage) -> None:
    """A head with the line as a clip of its morph targets; see delivery.gltf."""
    from .delivery.gltf import clips_of, write_glb
    from .delivery.heads import head_at

    write_glb(clips_of([result], [stage.name]), head_at(stage.mesh), path)


def write_preview(result: Result, path: Path, stage: Stage) -> None:
    """A film of a head that says the line, with the words burnt in; see delivery.film."""
    if not isinstance(result, Animation):
        raise InputError("The result moves vertices and has no controls; export it as .mdd or .pc2.")
    from .delivery.film import write_film
    from .delivery.heads import head_at

    write_film(result, head_at(stage.mesh), stage.name, stage.sound, path)


def write_curves(result: Result, path: Path) -> None:
    """Few Bézier keys as JSON; see delivery.curves."""
    from .delivery import curves

    curves.write_curves(result, path)


def alone(write: Callable[[Result, Path], None]) -> Writer:
    """A writer of what the result itself holds."""
    return lambda result, path, stage: write(result, path)


EXPORTERS: dict[str, Writer] = {
    ".csv": alone(write_csv),
    ".livelink.csv": alone(write_live_link_csv),
    ".json": alone(write_json),
    ".curves.json": alone(write_curves),
    ".TextGrid": alone(write_alignment),
    ".srt": alone(write_alignment),
    ".mdd": alone(write_mdd),
    ".pc2": alone(write_pc2),
    ".anim": alone(with_controls("write_unity")),
    ".vrma": alone(with_controls("write_vrma")),
    ".glb": write_glb_clip,
    ".mp4": write_preview,
    ".dat": alone(with_controls("write_moho")),
    ".tsv": alone(with_controls("write_rhubarb_tsv")),
    ".rhubarb.json": alone(with_controls("write_rhubarb_json")),
}
