"""Motion: key motions, and whole results in the two motion spaces. `results` reads and writes them as OUT.npz."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .checks import is_finite
from .emotion import Emotion
from .errors import InputError
from .origin import Origin
from .phones import Alignment
from .rig.lip_line import LipLine
from .settings import Layers, Sliders
from .styles import Style

OUTSIDE = 60.0  # s before and after a sound in which keys may lie
DENSEST = 240.0  # keys a second
ON_FRAME = 1e-4  # frames from a whole one, at which a key still counts as on it


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
        if not (np.isfinite(self.times).all() and is_finite(self.controls)):
            raise InputError("The key motions contain NaN or infinite values; correct or delete those keys.")

    def check_near(self, duration: float) -> None:
        """Raise InputError if a key lies far outside of a sound of `duration` s, or keys are denser than any motion."""
        far = self.times[(self.times < -OUTSIDE) | (self.times > duration + OUTSIDE)]
        if len(far):
            raise InputError(f"A key motion lies at {far[0]:g} s, far outside of the sound; move or delete it.")
        crowd = round(2 * DENSEST)  # keys that take two seconds at least
        if len(self.times) > crowd and (self.times[crowd:] - self.times[:-crowd]).min() < 2.0 - ON_FRAME:
            raise InputError(f"The key motions are denser than {DENSEST:g} a second; delete some.")

    def later(self, frames: int, fps: float) -> KeyMotions:
        """The same by so many frames later; back again, their times are bit for bit what they were."""
        if not frames:
            return self
        at = np.rint(self.times * fps)
        on_frame = np.abs(self.times * fps - at) < ON_FRAME
        return KeyMotions(np.where(on_frame, (at + frames) / fps, self.times + frames / fps), self.controls)


def frame_times(duration: float, fps: float) -> np.ndarray:
    """(T,) s: frame / fps for every frame from 0 to the last that is not after the end of the sound."""
    return np.arange(int(np.floor(duration * fps + 1e-6)) + 1) / fps


@dataclass(frozen=True)
class Generated:
    """A result as it was generated: what re-completion starts from, however often it was edited since.

    `free` (T, C) float32, the controls before the contacts were held; `keys` the key motions as they were shown.
    """

    free: np.ndarray
    keys: KeyMotions


@dataclass(frozen=True)
class Unfinished:
    """What finishing a result anew needs (`finish`), and completing it again.

    `speech` (T, S) float32, the completed motion over SPEECH_CONTROLS before the sliders; `free` (T, C) float32, the
    controls before the contacts were held; `edited` (m,) bool, the keys that the user has edited; `prosody` (N, 4)
    float16 at the result's feature rate: loudness relative to the speaker's own level, stress, pitch in semitones, and
    brightness in dB; older results lack the last.
    `generated` is None where nothing was edited: `free` and the result's keys are it.
    """

    speech: np.ndarray
    free: np.ndarray
    edited: np.ndarray
    prosody: np.ndarray
    generated: Generated | None = None


@dataclass(frozen=True)
class Targets:
    """A result as the shapes of a family move: `weights` (T, n) and `key_weights` (m, n) float32 of the shapes `names`.

    `family` is the family's own file (`retarget.families.as_data` as JSON), so that the motion can be worn again.
    """

    family: str
    names: tuple[str, ...]
    weights: np.ndarray
    key_weights: np.ndarray


@dataclass(frozen=True)
class Animation:
    """A whole result in control space.

    `times` (T,) s = frame / `fps`; `controls` (T, C) float32 in the order of `control_names`; `keys` the key motions
    over the same controls; `alignment` the phones and words they came from. `features` (N, d) float16 are the audio
    features at `feature_rate` Hz that completion needs when it runs again without the sound; the first of them is
    `feature_lead` s before the sound. `sliders` and `layers` are how it was finished, `style` is the one that the
    sliders name, `lip_line` that of the head it was finished for (None: the rig's). `vertices` (T, V, 3) float32 and
    `faces` (F, 3): the head that wears it, if any; `targets`: the shapes of another family that do, if any.
    `unfinished` and `origin` are None where the result comes from elsewhere; `emotion` is a guess of how the sound is
    spoken, None where nothing is guessed.
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
    unfinished: Unfinished | None = None
    sliders: Sliders = field(default=Sliders())
    layers: Layers = field(default=Layers())
    lip_line: LipLine | None = None
    style: Style = field(default=Style())
    feature_lead: float = 0.0
    vertices: np.ndarray | None = None
    faces: np.ndarray | None = None
    targets: Targets | None = None
    origin: Origin | None = None
    emotion: Emotion | None = None

    @property
    def key_times(self) -> np.ndarray:
        """(m,) s: when the key motions are."""
        return self.keys.times

    @property
    def key_frames(self) -> np.ndarray:
        """(m,) int: the frame nearest to each key."""
        return nearest_frames(self.key_times, self.fps)

    @property
    def to_finish(self) -> Unfinished:
        """`unfinished`; raises InputError where the result does not hold it."""
        if self.unfinished is None:
            raise InputError("This result was made without what sliders and corrections need; generate it again.")
        return self.unfinished

    @property
    def generated(self) -> Generated:
        """What re-completion starts from; raises InputError where the result does not hold it."""
        return self.to_finish.generated or Generated(self.to_finish.free, self.keys)


@dataclass(frozen=True)
class GeneratedVertices:
    """Where a result in vertex space was edited, how it was generated: what re-completion starts from.

    `vertices` (n, V, 3) float32 at `frames` (n,) int, ascending; `key_times` (m,) s of the key motions.
    """

    frames: np.ndarray
    vertices: np.ndarray
    key_times: np.ndarray


@dataclass(frozen=True)
class VertexAnimation:
    """A result of a checkpoint at paper scale, which moves a mesh itself; of sound of any length: arrays lie on disk.

    `vertices` (T, V, 3) float32 are the motion, in the mesh's units, of `template` (V, 3) float32, the neutral mesh,
    with `faces` (F, 3). `key_vertices` (m, V, 3) float32 are the key motions at `key_times` (m,) s, the very poses of
    their frames. `transform` (3, 3): displacement in the training data's space, as a column, → displacement of this
    mesh (its scale and rotation, and the intensity). `generated` is None where nothing was edited. All else is as in
    `Animation`.
    """

    fps: float
    times: np.ndarray
    alignment: Alignment
    audio_sha256: str
    model: str
    features: np.ndarray
    feature_rate: float
    vertices: np.ndarray
    faces: np.ndarray
    template: np.ndarray
    key_times: np.ndarray
    key_vertices: np.ndarray
    transform: np.ndarray
    generated: GeneratedVertices | None = None
    origin: Origin | None = None

    @property
    def key_frames(self) -> np.ndarray:
        """(m,) int: the frame nearest to each key."""
        return nearest_frames(self.key_times, self.fps)

    @property
    def key_poses(self) -> KeyMotions:
        """The key motions as `VertexAnimator.complete` takes them: (m, 3 V) positions. To be edited in a copy."""
        return KeyMotions(self.key_times, self.key_vertices.reshape(len(self.key_vertices), -1))


def nearest_frames(times: np.ndarray, fps: float) -> np.ndarray:
    """(m,) s → (m,) int."""
    return np.rint(times * fps).astype(np.int64)
