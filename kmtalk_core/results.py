"""OUT.npz: a whole result as a file, in either motion space, and edited key motions for it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import IO, Any

import numpy as np

from .archives import parsed
from .checks import FINISHED, FINISHED_AND_EDITED, NAMES, Misfit, check_arrays, check_some
from .emotion import EMOTIONS, Emotion
from .errors import InputError, KMTalkError
from .files import load_npz, save_npz
from .motion import Animation, Generated, GeneratedVertices, KeyMotions, Targets, Unfinished, VertexAnimation
from .origin import Origin
from .phones import PHONES, Alignment, HeardText, Phone, Word
from .rig.controls import SPEECH_CONTROLS
from .rig.lip_line import LipLine
from .settings import Layers, Sliders, known_fields
from .styles import Style, style_of

Path = str | os.PathLike[str]
Open = IO[bytes]  # results that a .blend keeps
Arrays = dict[str, np.ndarray]


def save_animation(animation: Animation | VertexAnimation, path: Path, compressed: bool = True) -> None:
    """Write OUT.npz whole or not at all; the same result gives the same bytes. Uncompressed is much faster."""
    own = _controls_of(animation) if isinstance(animation, Animation) else _vertices_of(animation)
    arrays = {**_common(animation), **own}
    try:
        check_arrays(arrays)
    except Misfit as fault:
        raise KMTalkError(f"The result was not written ({fault}); the sound or the checkpoint is damaged.") from None
    save_npz(arrays, path, compressed)


def pack_finished(animation: Animation) -> bytes:
    """What finishing changes in a result, for `unpack_finished` on the result itself."""
    unfinished, edited = animation.to_finish, {}
    if (generated := unfinished.generated) is not None:
        edited = {
            "generated_free": generated.free,
            "generated_key_times": generated.keys.times,
            "generated_key_controls": generated.keys.controls,
        }
    file = io.BytesIO()
    np.savez(
        file,
        **edited,
        controls=animation.controls,
        free=unfinished.free,
        key_times=animation.keys.times,
        key_controls=animation.keys.controls,
        edited=unfinished.edited,
        settings=np.array(json.dumps(_settings_of(animation))),
    )
    return file.getvalue()


def unpack_finished(animation: Animation, packed: bytes) -> Animation:
    """The result as `pack_finished` left it; raises InputError for damaged data, or of another result."""
    z = load_npz(io.BytesIO(packed), {**FINISHED, **FINISHED_AND_EDITED})
    try:
        kinds = {**FINISHED, **FINISHED_AND_EDITED} if "generated_free" in z else FINISHED
        check_some(z, kinds, T=len(animation.times), C=len(animation.control_names))
        generated = None
        if "generated_free" in z:
            keys = KeyMotions(z["generated_key_times"], z["generated_key_controls"])
            generated = Generated(z["generated_free"], keys)
        settings = parsed(str(z["settings"]))
        return replace(
            animation,
            controls=z["controls"],
            keys=KeyMotions(z["key_times"], z["key_controls"]),
            unfinished=replace(animation.to_finish, free=z["free"], edited=z["edited"], generated=generated),
            **_worn(settings),
        )
    except (TypeError, ValueError, KeyError, AttributeError, KMTalkError):
        raise InputError("What sliders made of this line is damaged; generate it again.") from None


def load_result(path: Path | Open) -> Animation | VertexAnimation:
    """Read a result that `save_animation` wrote; raises InputError for anything else."""
    z = load_npz(path, NAMES)
    where = _called(path)
    again = "generate it again" if isinstance(path, io.IOBase) else "make it again with `kmtalk animate`"
    try:
        check_arrays(z)
        animation = _vertex_animation(z) if "key_vertices" in z else _animation(z)
    except KeyError as missing:
        raise InputError(f"{where} is not a KMTalk result ({missing.args[0]} is missing); {again}.") from None
    except (TypeError, ValueError, AttributeError, KMTalkError) as error:
        reason = str(error).rstrip(".") if isinstance(error, Misfit | KMTalkError) else "its settings cannot be read"
        raise InputError(f"{where} is damaged ({reason}); {again}.") from None
    return animation


def load_animation(path: Path | Open) -> Animation:
    """Read a result in control space; raises InputError for anything else."""
    animation = load_result(path)
    if isinstance(animation, VertexAnimation):
        raise InputError(
            f"{_called(path)} moves vertices and has no controls; this works on results with controls only."
        )
    return animation


def _called(path: Path | Open) -> str:
    return "The line's result" if isinstance(path, io.IOBase) else str(path)


def load_vertex_animation(path: Path) -> VertexAnimation:
    """Read a result in vertex space; raises InputError for anything else."""
    animation = load_result(path)
    if isinstance(animation, Animation):
        raise InputError(f"{path} holds controls, not moved vertices; generate it in vertex space.")
    return animation


def load_keys(path: Path, control_names: tuple[str, ...], audio_sha256: str | None = None) -> KeyMotions:
    """Read edited key motions: any .npz with `key_times` and `key_controls`, a whole OUT.npz included.

    Columns are matched by `control_names` where the file has them, so that a subset or another order is understood.
    Raises InputError if the file says that they are of another sound than that with this checksum.
    """
    z = load_npz(path, ("key_times", "key_controls", "control_names", "audio_sha256"))
    if audio_sha256 is not None and "audio_sha256" in z and str(z["audio_sha256"]) != audio_sha256:
        raise InputError(f"The keys of {path} are of another sound; carry them over with `kmtalk carry OLD NEW`.")
    if "key_times" not in z or "key_controls" not in z:
        raise InputError(f"{path} holds no key motions; it needs the arrays key_times (m,) and key_controls (m, C).")
    times, controls = z["key_times"], z["key_controls"]
    if times.dtype.kind not in "fiu" or controls.dtype.kind not in "fiu":
        raise InputError(f"{path}: key_times and key_controls must be numbers; save them as float arrays.")
    times, controls = times.astype(np.float64), controls.astype(np.float32)
    names = tuple(str(n) for n in z["control_names"]) if "control_names" in z else control_names
    if controls.ndim != 2 or controls.shape[1] != len(names):
        raise InputError(f"{path}: key_controls has shape {controls.shape}, but {len(names)} controls are named.")
    if names != control_names:
        missing = [n for n in control_names if n not in names]
        if missing:
            raise InputError(f"{path} lacks the control {missing[0]}; keep all controls of the result that you edit.")
        controls = controls[:, [names.index(n) for n in control_names]]
    return KeyMotions(times, controls)


def load_key_vertices(path: Path, vertices: int) -> KeyMotions:
    """Edited key motions in vertex space: any .npz with `key_times` (m,) and `key_vertices` (m, V, 3), a whole OUT.npz
    included → poses (m, 3 V)."""
    z = load_npz(path, ("key_times", "key_vertices"))
    if "key_times" not in z or "key_vertices" not in z:
        raise InputError(f"{path} holds no key motions; it needs key_times (m,) and key_vertices (m, V, 3).")
    times, poses = z["key_times"], z["key_vertices"]
    if times.dtype.kind not in "fiu" or poses.dtype.kind not in "fiu":
        raise InputError(f"{path}: key_times and key_vertices must be numbers; save them as float arrays.")
    if times.ndim != 1 or poses.shape != (len(times), vertices, 3):
        raise InputError(
            f"{path}: key_vertices has the shape {poses.shape}; expected are {len(times)} poses of {vertices} vertices."
        )
    return KeyMotions(times.astype(np.float64), poses.reshape(len(times), -1).astype(np.float32))


# --- writing ----------------------------------------------------------------------------------------------------------


def _common(animation: Animation | VertexAnimation) -> Arrays:
    """What every result holds."""
    phones, words = animation.alignment.phones, animation.alignment.words
    return {
        "fps": np.array(animation.fps, np.float64),
        "times": animation.times.astype(np.float64),
        "key_times": animation.key_times.astype(np.float64),
        "key_frames": animation.key_frames,
        "phone_labels": np.array([p.label for p in phones], dtype="U8"),
        "phone_starts": np.array([p.start for p in phones], dtype=np.float64),
        "phone_ends": np.array([p.end for p in phones], dtype=np.float64),
        **({"phone_sounds": np.array([p.sound for p in phones], "U8")} if any(p.sound for p in phones) else {}),
        "word_labels": np.array([w.label for w in words], dtype=str if words else "U1"),
        "word_starts": np.array([w.start for w in words], dtype=np.float64),
        "word_ends": np.array([w.end for w in words], dtype=np.float64),
        "word_confidences": np.array([w.confidence for w in words], dtype=np.float64),
        "duration": np.array(animation.alignment.duration, np.float64),
        "localizer": np.array(animation.alignment.source),
        "warnings": np.array(animation.alignment.warnings, dtype=str if animation.alignment.warnings else "U1"),
        "audio_sha256": np.array(animation.audio_sha256),
        "model": np.array(animation.model),
        "features": animation.features.astype(np.float16, copy=False),
        "feature_rate": np.array(animation.feature_rate, np.float64),
        **({} if animation.origin is None else {"origin": np.array(animation.origin.as_json)}),
        **_heard_arrays(animation.alignment.heard),
    }


def _heard_arrays(heard: HeardText | None) -> Arrays:
    """The text that was heard, in which language and by what; none where the text was given or there is none."""
    return {} if heard is None else {f"heard_{name}": np.array(value) for name, value in asdict(heard).items()}


def _controls_of(animation: Animation) -> Arrays:
    arrays: Arrays = {
        "control_names": np.array(animation.control_names, dtype=str),
        "controls": animation.controls.astype(np.float32, copy=False),
        "key_controls": animation.keys.controls.astype(np.float32),
    }
    if animation.emotion is not None:
        arrays["emotion"] = np.array(animation.emotion.name)
        arrays["emotion_confidence"] = np.array(animation.emotion.confidence, np.float64)
    if animation.feature_lead:
        arrays["feature_lead"] = np.array(animation.feature_lead, np.float64)
    if animation.unfinished is not None:
        unfinished = animation.unfinished
        settings = _settings_of(animation)
        if animation.lip_line is not None:
            settings["lip_line"] = asdict(animation.lip_line)
        held = np.flatnonzero((unfinished.free != animation.controls).any(1))
        arrays |= {
            "speech": unfinished.speech.astype(np.float32, copy=False),
            "contact_frames": held,  # all others move freely
            "contact_free": unfinished.free[held].astype(np.float32),
            "key_edited": unfinished.edited,
            "prosody": unfinished.prosody.astype(np.float16, copy=False),
            "settings": np.array(json.dumps(settings)),
        }
        if (generated := unfinished.generated) is not None:
            changed = np.flatnonzero((generated.free != unfinished.free).any(1))
            arrays |= {
                "generated_frames": changed,  # all others are as generated
                "generated_free": generated.free[changed].astype(np.float32),
                "generated_key_times": generated.keys.times.astype(np.float64),
                "generated_key_controls": generated.keys.controls.astype(np.float32),
            }
    if animation.targets is not None:
        arrays |= {
            "target_family": np.array(animation.targets.family),
            "target_names": np.array(animation.targets.names, dtype=str),
            "targets": animation.targets.weights.astype(np.float32, copy=False),
            "key_targets": animation.targets.key_weights.astype(np.float32, copy=False),
        }
    if animation.vertices is not None and animation.faces is not None:
        arrays |= _mesh(animation.vertices, animation.faces)
    return arrays


def _settings_of(animation: Animation) -> dict[str, Any]:
    """How it was finished: sliders, layers and the style; the inverse of `_worn`."""
    settings: dict[str, Any] = {"sliders": asdict(animation.sliders), "layers": asdict(animation.layers)}
    return settings if animation.style == Style() else {**settings, "style": animation.style.as_dict}


def _vertices_of(animation: VertexAnimation) -> Arrays:
    """Also the arrays of controls that all readers of OUT.npz may rely on: there are none."""
    arrays: Arrays = {
        "control_names": np.zeros(0, "U1"),
        "controls": np.zeros((len(animation.times), 0), np.float32),
        "key_controls": np.zeros((len(animation.key_times), 0), np.float32),
        **_mesh(animation.vertices, animation.faces),
        "template": animation.template,
        "key_vertices": animation.key_vertices,
        "transform": animation.transform,
    }
    if (generated := animation.generated) is not None:
        arrays |= {
            "generated_frames": generated.frames,
            "generated_vertices": generated.vertices,
            "generated_key_times": generated.key_times,
        }
    return arrays


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> Arrays:
    return {"vertices": vertices.astype(np.float32, copy=False), "faces": faces.astype(np.int32)}


# --- reading ----------------------------------------------------------------------------------------------------------


def _animation(z: Mapping[str, np.ndarray]) -> Animation:
    """From arrays that `check_arrays` has passed."""
    return Animation(
        fps=float(z["fps"]),
        times=z["times"],
        control_names=tuple(str(n) for n in z["control_names"]),
        controls=z["controls"],
        keys=KeyMotions(z["key_times"], z["key_controls"]),
        alignment=_alignment(z),
        audio_sha256=str(z["audio_sha256"]),
        model=str(z["model"]),
        features=z["features"],
        feature_rate=float(z["feature_rate"]),
        **_finishing(z),
        feature_lead=float(z.get("feature_lead", 0.0)),
        vertices=z.get("vertices"),
        faces=z.get("faces"),
        targets=Targets(
            str(z["target_family"]), tuple(str(n) for n in z["target_names"]), z["targets"], z["key_targets"]
        )
        if "targets" in z
        else None,
        origin=_origin(z),
        emotion=_emotion(z),
    )


def _emotion(z: Mapping[str, np.ndarray]) -> Emotion | None:
    if "emotion" not in z or "emotion_confidence" not in z:
        return None
    if str(z["emotion"]) not in EMOTIONS:
        raise Misfit(f"there is no emotion {z['emotion']!s:.20}")
    return Emotion(str(z["emotion"]), float(z["emotion_confidence"]))


def _vertex_animation(z: Mapping[str, np.ndarray]) -> VertexAnimation:
    return VertexAnimation(
        fps=float(z["fps"]),
        times=z["times"],
        alignment=_alignment(z),
        audio_sha256=str(z["audio_sha256"]),
        model=str(z["model"]),
        features=z["features"],
        feature_rate=float(z["feature_rate"]),
        vertices=z["vertices"],
        faces=z["faces"],
        template=z["template"],
        key_times=z["key_times"],
        key_vertices=z["key_vertices"],
        transform=z["transform"],
        generated=GeneratedVertices(z["generated_frames"], z["generated_vertices"], z["generated_key_times"])
        if "generated_frames" in z
        else None,
        origin=_origin(z),
    )


def _alignment(z: Mapping[str, np.ndarray]) -> Alignment:
    if unknown := set(z["phone_labels"].tolist()) - set(PHONES):
        raise Misfit(f"there is no phone {min(unknown):.8}")
    sounds = z["phone_sounds"] if "phone_sounds" in z else np.full(len(z["phone_labels"]), "")
    labels, starts, ends = z["word_labels"], z["word_starts"], z["word_ends"]
    # Files of before confidence have none of it: 1.
    confidences = z["word_confidences"] if "word_confidences" in z else np.ones(len(labels))
    phones = _rows(z["phone_labels"], z["phone_starts"], z["phone_ends"], sounds)
    words = _rows(labels, starts, ends, confidences)
    return Alignment(
        tuple(Phone(str(label), float(a), float(b), str(sound)) for label, a, b, sound in phones),
        tuple(Word(str(label), float(a), float(b), float(c)) for label, a, b, c in words),
        float(z["duration"]),
        str(z["localizer"]),
        tuple(str(w) for w in z["warnings"]),
        heard=_heard_text(z),
    )


def _rows(*columns: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Row by row, in Python's own types, which are much quicker one by one."""
    return zip(*(column.tolist() for column in columns), strict=True)


def _heard_text(z: Mapping[str, np.ndarray]) -> HeardText | None:
    if "heard_text" not in z:
        return None
    return HeardText(*(str(z[f"heard_{field.name}"]) for field in fields(HeardText)))


def _origin(z: Mapping[str, np.ndarray]) -> Origin | None:
    return Origin.from_json(str(z["origin"])) if "origin" in z else None


def _finishing(z: Mapping[str, np.ndarray]) -> dict:
    """The fields of a result that finishing it anew needs; none of them in a result from elsewhere."""
    if "speech" not in z:
        return {}
    if z["speech"].shape[1] != len(SPEECH_CONTROLS):
        raise Misfit(f"speech has the shape {z['speech'].shape}")
    free = z["controls"].copy()
    free[z["contact_frames"]] = z["contact_free"]
    settings = parsed(str(z["settings"]))
    generated = None
    if "generated_frames" in z:
        former = free.copy()
        former[z["generated_frames"]] = z["generated_free"]
        generated = Generated(former, KeyMotions(z["generated_key_times"], z["generated_key_controls"]))
    return {
        "unfinished": Unfinished(z["speech"], free, z["key_edited"], z["prosody"], generated),
        **_worn(settings),
        "lip_line": _lip_line(settings["lip_line"]) if "lip_line" in settings else None,
    }


def _worn(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sliders, layers and style that `_settings_of` told."""
    return {
        "sliders": Sliders(**known_fields(Sliders, settings["sliders"])),
        "layers": Layers(**known_fields(Layers, settings["layers"])),
        "style": style_of(settings["style"]) if "style" in settings else Style(),
    }


def _lip_line(told: Mapping[str, Any]) -> LipLine:
    opening = {str(name): float(mm) for name, mm in told["opening"].items()}
    lips = LipLine(float(told["rest"]), opening)
    if not np.isfinite([lips.rest, *opening.values()]).all():
        raise Misfit("the lip line is not finite")
    return lips
