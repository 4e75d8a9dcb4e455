"""Motion in control space: key motions, completed motion, and the .npz file that holds a whole result."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from .errors import InputError
from .files import load_npz, save_npz
from .phones import Alignment, Phone, Word
from .rig.controls import SPEECH_CONTROLS
from .rig.lip_line import LipLine
from .sliders import Layers, Sliders, known_fields


@dataclass(frozen=True)
class KeyMotions:
    """Poses at chosen instants: `times` (m,) seconds, ascending; `controls` (m, C) float32."""

    times: np.ndarray
    controls: np.ndarray

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or self.controls.ndim != 2 or len(self.times) != len(self.controls):
            raise InputError("Key motions need times of shape (m,) and controls of shape (m, C) with the same m.")
        if len(self.times) > 1 and not (np.diff(self.times) > 0).all():
            raise InputError("The times of the key motions must ascend; sort them and remove duplicates.")
        if not (np.isfinite(self.times).all() and finite(self.controls)):
            raise InputError("The key motions contain NaN or infinite values; correct or delete those keys.")


def finite(array: np.ndarray, rows: int = 64) -> bool:
    """Whether all numbers are finite, looked at some rows at a time: poses of a mesh may lie on disk."""
    return all(np.isfinite(array[low : low + rows]).all() for low in range(0, len(array), rows))


@dataclass(frozen=True)
class Animation:
    """A whole result, as written to OUT.npz.

    `times` (T,) s = frame / `fps`; `controls` (T, C) float32 in the order of `control_names`; `keys` the key motions
    over the same controls; `alignment` the phones and words they came from. `features` (N, d) float16 are the audio
    features at `feature_rate` Hz that completion needs when it runs again without the sound.

    What finishing it anew needs (`finish`), None where the result comes from elsewhere: `speech` (T, S) float32, the
    completed motion over SPEECH_CONTROLS before the sliders; `free` (T, C) float32, `controls` before the contacts were
    held; `edited` (m,) bool, the keys that are the animator's; `prosody` (N, 2) float16 at `feature_rate` Hz. `sliders`
    and `layers` are how it was finished, `lip_line` is that of the head it was finished for (None: the rig's).
    """

    fps: float
    times: np.ndarray
    control_names: tuple[str, ...]
    controls: np.ndarray
    keys: KeyMotions
    alignment: Alignment
    audio_sha256: str
    model: str
    features: np.ndarray
    feature_rate: float
    speech: np.ndarray | None = field(default=None)
    free: np.ndarray | None = field(default=None)
    edited: np.ndarray | None = field(default=None)
    prosody: np.ndarray | None = field(default=None)
    sliders: Sliders = field(default=Sliders())
    layers: Layers = field(default=Layers())
    lip_line: LipLine | None = field(default=None)
    vertices: np.ndarray | None = field(default=None)
    faces: np.ndarray | None = field(default=None)

    @property
    def key_frames(self) -> np.ndarray:
        """(m,) int: the frame nearest to each key."""
        return np.rint(self.keys.times * self.fps).astype(np.int64)

    def more_arrays(self) -> dict[str, np.ndarray]:
        """What OUT.npz holds of a result in another motion space (`vertex_motion`)."""
        return {}


def save_animation(animation: Animation, path: str | os.PathLike[str], compressed: bool = True) -> None:
    """Write OUT.npz whole or not at all; the same animation gives the same bytes. Uncompressed is much faster."""
    phones, words = animation.alignment.phones, animation.alignment.words
    arrays: dict[str, np.ndarray] = {
        "fps": np.float64(animation.fps),  # type: ignore[dict-item]
        "times": animation.times.astype(np.float64),
        "control_names": np.array(animation.control_names, dtype=str),
        "controls": animation.controls.astype(np.float32, copy=False),
        "key_times": animation.keys.times.astype(np.float64),
        "key_frames": animation.key_frames,
        "key_controls": animation.keys.controls.astype(np.float32),
        "phone_labels": np.array([p.label for p in phones], dtype="U8"),
        "phone_starts": np.array([p.start for p in phones], dtype=np.float64),
        "phone_ends": np.array([p.end for p in phones], dtype=np.float64),
        "word_labels": np.array([w.label for w in words], dtype=str if words else "U1"),
        "word_starts": np.array([w.start for w in words], dtype=np.float64),
        "word_ends": np.array([w.end for w in words], dtype=np.float64),
        "word_confidences": np.array([w.confidence for w in words], dtype=np.float64),
        "duration": np.float64(animation.alignment.duration),  # type: ignore[dict-item]
        "localizer": np.array(animation.alignment.source),
        "warnings": np.array(animation.alignment.warnings, dtype=str if animation.alignment.warnings else "U1"),
        "audio_sha256": np.array(animation.audio_sha256),
        "model": np.array(animation.model),
        "features": animation.features.astype(np.float16, copy=False),
        "feature_rate": np.float64(animation.feature_rate),  # type: ignore[dict-item]
    }
    if animation.free is not None and animation.speech is not None:
        assert animation.edited is not None and animation.prosody is not None
        settings = {"sliders": asdict(animation.sliders), "layers": asdict(animation.layers)}
        if animation.lip_line is not None:
            settings["lip_line"] = asdict(animation.lip_line)
        held = np.flatnonzero((animation.free != animation.controls).any(1))
        arrays |= {
            "speech": animation.speech.astype(np.float32, copy=False),
            "contact_frames": held,  # all others move freely
            "contact_free": animation.free[held].astype(np.float32),
            "key_edited": animation.edited,
            "prosody": animation.prosody.astype(np.float16, copy=False),
            "settings": np.array(json.dumps(settings)),
        }
    if animation.vertices is not None and animation.faces is not None:
        arrays["vertices"] = animation.vertices.astype(np.float32, copy=False)
        arrays["faces"] = animation.faces.astype(np.int32)
    save_npz({**arrays, **animation.more_arrays()}, path, compressed)


def load_animation(path: str | os.PathLike[str]) -> Animation:
    """Read a result that `save_animation` wrote; raises InputError for anything else."""
    z = load_npz(path)
    try:
        alignment = Alignment(
            tuple(
                Phone(str(label), float(a), float(b))
                for label, a, b in zip(z["phone_labels"], z["phone_starts"], z["phone_ends"], strict=True)
            ),
            tuple(
                Word(str(label), float(a), float(b), float(c))
                for label, a, b, c in zip(
                    z["word_labels"], z["word_starts"], z["word_ends"], _confidences(z), strict=True
                )
            ),
            float(z["duration"]),
            str(z["localizer"]),
            tuple(str(w) for w in z["warnings"]),
        )
        animation = Animation(
            fps=float(z["fps"]),
            times=z["times"],
            control_names=tuple(str(n) for n in z["control_names"]),
            controls=z["controls"],
            keys=KeyMotions(z["key_times"], z["key_controls"]),
            alignment=alignment,
            audio_sha256=str(z["audio_sha256"]),
            model=str(z["model"]),
            features=z["features"],
            feature_rate=float(z["feature_rate"]),
            **_finishing(z),
            vertices=z.get("vertices"),
            faces=z.get("faces"),
        )
        if not _is_consistent(animation):
            raise ValueError
        if "key_vertices" in z:
            from .vertex_motion import VertexAnimation

            return VertexAnimation.of(animation, z)
        return animation
    except KeyError as missing:
        raise InputError(
            f"{path} is not a KMTalk result ({missing.args[0]} is missing); make it with `kmtalk animate`."
        ) from None
    except (TypeError, ValueError, IndexError):
        raise InputError(
            f"{path} is damaged: its arrays do not fit together; make it again with `kmtalk animate`."
        ) from None


def _finishing(z: Mapping[str, np.ndarray]) -> dict:
    """The fields of a result that finishing it anew needs; none of them in a result from elsewhere."""
    if "speech" not in z:
        return {}
    free = z["controls"].copy()
    free[z["contact_frames"]] = z["contact_free"]
    settings = json.loads(str(z["settings"]))
    return {
        "speech": z["speech"],
        "free": free,
        "edited": z["key_edited"],
        "prosody": z["prosody"],
        "sliders": Sliders(**known_fields(Sliders, settings["sliders"])),
        "layers": Layers(**known_fields(Layers, settings["layers"])),
        "lip_line": LipLine(**settings["lip_line"]) if "lip_line" in settings else None,
    }


def _confidences(z: Mapping[str, np.ndarray]) -> np.ndarray:
    """(words,) what files of before confidence lack: 1."""
    return z["word_confidences"] if "word_confidences" in z else np.ones(len(z["word_labels"]))


def _is_consistent(animation: Animation) -> bool:
    frames, count = len(animation.times), len(animation.control_names)
    vertices, faces = animation.vertices, animation.faces
    speech, free, edited, prosody = animation.speech, animation.free, animation.edited, animation.prosody
    if speech is not None and (
        free is None
        or edited is None
        or prosody is None
        or speech.shape != (frames, len(SPEECH_CONTROLS))
        or edited.shape != animation.keys.times.shape
        or edited.dtype != bool
        or prosody.ndim != 2
        or not all(a.dtype.kind == "f" and np.isfinite(a).all() for a in (speech, free, prosody))
    ):
        return False
    return (
        frames > 0
        and all(
            a.dtype.kind == "f" and np.isfinite(a).all()
            for a in (animation.times, animation.controls, animation.keys.times, animation.keys.controls)
        )
        and animation.controls.shape == (frames, count)
        and animation.keys.controls.shape[1] == count
        and animation.features.ndim == 2
        and len(animation.features) > 0
        and 0 < animation.fps < np.inf
        and 0 < animation.feature_rate < np.inf
        and (vertices is None or (vertices.ndim == 3 and vertices.shape[::2] == (frames, 3) and faces is not None))
    )


def load_keys(path: str | os.PathLike[str], control_names: tuple[str, ...]) -> KeyMotions:
    """Read edited key motions: any .npz with `key_times` and `key_controls`, a whole OUT.npz included.

    Columns are matched by `control_names` where the file has them, so that a subset or another order is understood.
    """
    z = load_npz(path)
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
