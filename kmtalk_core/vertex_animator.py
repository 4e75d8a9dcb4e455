"""The façade for checkpoints at paper scale: sound → key motions → completed motion, as vertices of a mesh.

`opening.open_animator` makes one where the checkpoint moves vertices. Sound goes through in overlapping pieces, and the
motion lies on disk where it is large, so memory does not grow with the length.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from .animator import Animator
from .audio import SAMPLE_RATE, Sound
from .checkpoint import Checkpoint, load_checkpoint
from .completion import SAME_TIME, SAME_VALUE, Span, complete_through, edited_spans, fade
from .errors import InputError, KMTalkError
from .files import blocks, scratch
from .localization.keys import RULES, KeyInstants, key_instants
from .motion import GeneratedVertices, KeyMotions, VertexAnimation, frame_times, nearest_frames
from .origin import origin_of
from .phones import Alignment
from .progress import Progress, section, silent_progress
from .request import Request
from .rig.mesh import Mesh
from .runtime.guarded import NOT_FINITE
from .runtime.inference import at_times, complete_motion, pieces
from .settings import Layers, Sliders, settings_of

CONTEXT = 3.0  # s of key motions around an edit that re-completion looks at
HEARD_AROUND = 1.0  # s of sound beyond a piece that the encoder hears
SAME_POSE = (0.8, 1.25, 10.0)  # scale from, to, and degrees, within which a mesh counts as posed like the data
MISFIT = 0.15  # of the mesh's size: further away from the data's template on average, it is another topology


class VertexAnimator:
    """Holds one checkpoint of `networks.method` on the best device; `animate`, `complete`, `align` as `Animator`."""

    def __init__(self, checkpoint: str | os.PathLike[str] | Checkpoint, backend: str = "auto") -> None:
        if backend not in ("auto", "torch"):
            raise InputError("A checkpoint at paper scale runs on torch; leave out --backend, or choose torch.")
        try:
            from .networks.vertex_backend import VertexBackend
        except ImportError:
            raise KMTalkError("A checkpoint at paper scale needs torch and transformers; install them.") from None
        self._checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint)
        if "method" not in self._checkpoint.config:
            raise InputError("This checkpoint drives controls; open it with kmtalk_core.opening.open_animator.")
        self._networks = VertexBackend(self._checkpoint)
        rule = str(dict(self._checkpoint.config.get("keys", {})).get("rule", ""))
        self._rule = rule if rule in RULES else "boundaries"

    @property
    def model(self) -> str:
        """The model's name and checksum, as OUT.npz records it."""
        return self._checkpoint.name

    @property
    def subjects(self) -> tuple[str, ...]:
        """The speaking styles that the checkpoint knows, its training subjects."""
        return self._networks.geometry.subjects

    @cached_property
    def _compact(self) -> Animator:
        """The shipped model, which localizes without any other tool."""
        return Animator()

    def align(self, sound: Sound, request: Request | None = None, progress: Progress = silent_progress) -> Alignment:
        """Sound → phones and words with times."""
        return self._compact.align(sound, request, progress)

    def animate(
        self,
        sound: Sound,
        request: Request | None = None,
        progress: Progress = silent_progress,
        mesh: Mesh | None = None,
        subject: str | None = None,
    ) -> VertexAnimation:
        """Sound → motion of `mesh` at `request.fps`, starting at the sound's first sample.

        `mesh` has the vertices of the training data, in any pose, unit and axes; without one the training subjects'
        mean face moves. `subject`: in whose style (the first training subject's). Of the request's sliders only the
        intensity has a meaning here, and a warning says so where others are set. The rule for key instants is the
        training's, unless the request names one.
        """
        request = request or Request()
        template, faces, transform = self._place(mesh)
        transform = transform * request.intensity
        alignment = self._compact.align(sound, request, lambda share, doing: progress(0.3 * share, doing))
        if unused := _without_meaning(request):
            told = f"A checkpoint that moves vertices knows no {', '.join(unused)}; without effect here."
            alignment = replace(alignment, warnings=(*alignment.warnings, told))
        times = frame_times(alignment.duration, request.fps)
        rule = self._rule if request.key_rule == "auto" else request.key_rule
        instants = key_instants(alignment, rule, request.fps)
        shown = key_instants(alignment, rule, request.fps, density=request.key_density).times
        frames = nearest_frames(shown, request.fps)
        part = section(progress, 0.3, 1.0)
        features = np.zeros((1, 0), np.float32)
        if self._networks.completes:
            features, moved = self._completed_from(sound, instants, times, part)
        else:
            moved = self._inferred(sound, times, self._style(subject), template, part)
        vertices = moved.reshape(len(times), -1, 3)
        for rows in blocks(len(vertices)):
            vertices[rows] = _finite(_onto(template, vertices[rows], transform))
        poses = scratch((len(frames), *template.shape))
        for rows in blocks(len(frames)):
            poses[rows] = vertices[frames[rows]]
        progress(1.0, "done")
        return VertexAnimation(
            fps=request.fps,
            times=times,
            alignment=alignment,
            audio_sha256=sound.sha256,
            model=self.model,
            features=features,
            feature_rate=self._networks.geometry.fps,
            vertices=vertices,
            faces=faces,
            template=template.astype(np.float32),
            key_times=shown,
            key_vertices=poses,
            transform=transform,
            origin=origin_of(request),
        )

    def complete(
        self, animation: VertexAnimation, keys: KeyMotions, progress: Progress = silent_progress
    ) -> VertexAnimation:
        """Re-run completion with edited `keys`, poses (m', 3 V) of the mesh, on whole frames.

        The keys come back exactly; only the spans next to changed, moved, added and deleted keys change. Raises
        InputError if the result is another model's, or the model has no completion.
        """
        if animation.model != self.model:
            raise InputError(
                f"This result was made by {animation.model}, but {self.model} is loaded; generate it again or choose"
                " the checkpoint that made it."
            )
        if not self._networks.completes:
            raise InputError(f"{self.model} has no key motions to complete; only KMTalk's checkpoints do.")
        if not len(keys.times):
            raise InputError("All key motions are gone; keep at least one, or generate again.")
        if keys.controls.shape[1] != animation.template.size:
            raise InputError(
                f"The edited keys have {keys.controls.shape[1] // 3} vertices, the result {len(animation.template)}."
            )
        keys.check_near(animation.alignment.duration)
        frames = nearest_frames(keys.times, animation.fps)
        if (np.diff(frames) < 1).any():
            raise InputError("Two key motions fall on the same frame; move or delete one of them.")
        keys = KeyMotions(frames / animation.fps, keys.controls)
        progress(0.0, "completing the motion")
        vertices, before = _as_generated(animation)
        inverse = np.linalg.pinv(animation.transform)

        def complete(some: KeyMotions, at: np.ndarray) -> np.ndarray:
            moved = _displacement(animation.template, some.controls, inverse)
            given = KeyMotions(some.times, moved)
            out = complete_motion(self._networks, animation.features, animation.feature_rate, given, at)
            return _onto(animation.template, out.reshape(len(at), -1, 3), animation.transform).reshape(len(at), -1)

        spans = edited_spans(*_signatures(before, keys))
        changed = _frames_within(spans, animation.times)
        former = vertices[changed]
        for number, span in enumerate(spans):
            self._recomplete(vertices, animation.times, span, before, keys, complete)
            progress((number + 1) / len(spans), "completing the motion")
        inside = (frames >= 0) & (frames < len(vertices))
        vertices[frames[inside]] = keys.controls[inside].reshape(-1, *animation.template.shape)
        progress(1.0, "done")
        return replace(
            animation,
            vertices=vertices,
            key_times=keys.times,
            key_vertices=keys.controls.reshape(-1, *animation.template.shape),
            generated=GeneratedVertices(changed, former, before.times) if spans else None,
        )

    # --- the mesh -----------------------------------------------------------------------------------------------------

    def _place(self, mesh: Mesh | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Template (V, 3), faces (F, 3), and the data's displacement → this mesh's, (3, 3)."""
        geometry = self._networks.geometry
        if mesh is None:
            if geometry.template is None:
                raise InputError("This checkpoint has no face of its own; give a mesh of the training data's topology.")
            faces = np.zeros((0, 3), np.int64) if geometry.faces is None else geometry.faces
            return geometry.template.astype(np.float64), faces, np.eye(3)
        if len(mesh.vertices) != geometry.vertices:
            raise InputError(
                f"The mesh has {len(mesh.vertices)} vertices, the checkpoint moves {geometry.vertices}; choose a mesh"
                " of the topology that it was trained on."
            )
        if geometry.template is None:
            return mesh.vertices, mesh.faces, np.eye(3)
        scale, rotation, misfit = similarity(geometry.template.astype(np.float64), mesh.vertices)
        if misfit > MISFIT:
            raise InputError(
                "The mesh has as many vertices as the training data, but in another order; export it with its vertex"
                " order kept."
            )
        low, high, degrees = SAME_POSE
        turned = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0)))
        same = low < scale < high and turned < degrees  # another person in the data's own pose: used as it is
        return mesh.vertices, mesh.faces, np.eye(3) if same else scale * rotation

    # --- the networks -------------------------------------------------------------------------------------------------

    def _completed_from(
        self, sound: Sound, instants: KeyInstants, times: np.ndarray, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """KMTalk: features (F, 2 d) float32 at the data's frame rate, and displacement (T, 3 V) in its space."""
        networks, rate = self._networks, self._networks.geometry.fps
        samples, level = sound.samples, _level(sound.samples)
        n = int(len(samples) / SAMPLE_RATE * rate + 1e-6) + 1
        features: np.ndarray | None = None
        for piece in pieces(np.arange(n) / rate):
            stretch, lead = _around(samples, level, piece.first / rate, (piece.last - 1) / rate, rate)
            heard = networks.hear(stretch)[lead:]
            heard = heard[np.minimum(np.arange(piece.last - piece.first), len(heard) - 1)]
            features = np.zeros((n, heard.shape[1]), np.float32) if features is None else features
            piece.add(features, heard)
            progress(0.4 * piece.last / n, "listening")
        assert features is not None
        posed = scratch((len(instants.times), 3 * networks.geometry.vertices))
        for piece in pieces(instants.times):
            at = instants.times[piece.first : piece.last]
            piece.add(posed, networks.key_motions(at_times(features, rate, at), at - piece.start))
        keys = KeyMotions(instants.times, posed)
        tell = section(progress, 0.5, 1.0)
        return features, complete_motion(
            networks, features, rate, keys, times, lambda share: tell(share, "completing the motion"), scratch
        )

    def _inferred(
        self, sound: Sound, times: np.ndarray, style: np.ndarray, template: np.ndarray, progress: Progress
    ) -> np.ndarray:
        """Other methods: displacement (T, 3 V) in the data's space, piece by piece."""
        networks, geometry, level = self._networks, self._networks.geometry, _level(sound.samples)
        face = template if geometry.template is None else geometry.template
        out = scratch((len(times), 3 * geometry.vertices))
        for piece in pieces(times):
            at = times[piece.first : piece.last]
            stretch, lead = _around(sound.samples, level, float(at[0]), float(at[-1]), geometry.fps)
            piece.add(out, networks.infer(stretch, face, style, at - at[0] + lead / geometry.fps))
            progress(piece.last / len(times), "animating")
        return out

    def _style(self, subject: str | None) -> np.ndarray:
        subjects = self.subjects
        if subject is not None and subject not in subjects:
            raise InputError(f"The checkpoint has no style {subject!r}; choose one of {', '.join(subjects)}.")
        chosen = subjects.index(subject) if subject is not None else 0
        return np.eye(len(subjects), dtype=np.float32)[chosen]

    def _recomplete(
        self,
        vertices: np.ndarray,
        times: np.ndarray,
        span: Span,
        before: KeyMotions,
        after: KeyMotions,
        complete: Callable[[KeyMotions, np.ndarray], np.ndarray],
    ) -> None:
        """Add to `vertices`, in place, what an edit changes in one span."""
        inside = np.flatnonzero((times > span.start) & (times < span.end))
        for rows in blocks(len(inside), 512):
            at = times[inside[rows]]
            near = [_near(keys, at[0] - CONTEXT, at[-1] + CONTEXT) for keys in (before, after)]
            change = complete_through(near[1], at, complete) - complete_through(near[0], at, complete)
            change *= fade(span, at)[:, None]
            vertices[inside[rows]] += _finite(change.reshape(len(at), -1, 3).astype(np.float32))


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Scale and rotation (3, 3) that bring (V, 3) `source` nearest to `target` (Umeyama 1991), and how far it stays
    away on average, as a share of the target's size."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, values, vt = np.linalg.svd(b.T @ a / len(a))
    mirror = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(mirror) @ vt
    scale = float((values * mirror).sum() / max(a.var(0).sum(), 1e-30))
    size = np.sqrt(np.square(b).sum(1).mean())
    return scale, rotation, float(np.linalg.norm(b - scale * a @ rotation.T, axis=1).mean() / max(size, 1e-30))


def _onto(template: np.ndarray, moved: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Displacement (n, V, 3) in the data's space → positions of the mesh, float32."""
    if (transform == np.eye(3)).all():
        return template.astype(np.float32) + moved
    return (template + moved.astype(np.float64) @ transform.T).astype(np.float32)


def _finite(motion: np.ndarray) -> np.ndarray:
    if not np.isfinite(motion).all():
        raise KMTalkError(NOT_FINITE)
    return motion


def _displacement(template: np.ndarray, poses: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Positions of the mesh (n, 3 V) → displacement in the data's space (n, 3 V)."""
    moved = (poses.reshape(len(poses), -1, 3) - template) @ inverse.T
    return moved.reshape(len(poses), -1).astype(np.float32)


def _as_generated(animation: VertexAnimation) -> tuple[np.ndarray, KeyMotions]:
    """The generated motion (T, V, 3), a copy, and its key motions as poses (m, 3 V)."""
    vertices = scratch(animation.vertices.shape)
    for rows in blocks(len(vertices)):
        vertices[rows] = animation.vertices[rows]
    if (generated := animation.generated) is None:
        return vertices, animation.key_poses
    vertices[generated.frames] = generated.vertices
    poses = vertices[nearest_frames(generated.key_times, animation.fps)]
    return vertices, KeyMotions(generated.key_times, poses.reshape(len(poses), -1))


def _frames_within(spans: list[Span], times: np.ndarray) -> np.ndarray:
    """The frames that edits change, ascending."""
    inside = np.zeros(len(times), bool)
    for span in spans:
        inside |= (times > span.start) & (times < span.end)
    return np.flatnonzero(inside)


def _signatures(before: KeyMotions, after: KeyMotions) -> tuple[KeyMotions, KeyMotions]:
    """The same times with one number a key: equal where the poses are. Comparing poses pose by pose takes no memory."""
    of_time = {round(t / SAME_TIME / 10): k for k, t in enumerate(before.times)}
    changed = np.zeros((len(after.times), 1), np.float32)
    for k, t in enumerate(after.times):
        old = of_time.get(round(t / SAME_TIME / 10))
        if old is not None and np.abs(before.controls[old] - after.controls[k]).max() > SAME_VALUE:
            changed[k] = 1.0
    return KeyMotions(before.times, np.zeros((len(before.times), 1), np.float32)), KeyMotions(after.times, changed)


def _near(keys: KeyMotions, low: float, high: float) -> KeyMotions:
    first = max(int(np.searchsorted(keys.times, low)) - 1, 0)
    last = int(np.searchsorted(keys.times, high, side="right")) + 1
    return KeyMotions(keys.times[first:last], np.asarray(keys.controls[first:last]))


def _level(samples: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of a sound: wav2vec 2.0 is given sounds with 0 and 1."""
    return float(samples.mean(dtype=np.float64)), float(np.sqrt(samples.var(dtype=np.float64) + 1e-7))


def _around(
    samples: np.ndarray, level: tuple[float, float], start: float, end: float, rate: float
) -> tuple[np.ndarray, int]:
    """The sound from `start` to `end` s and HEARD_AROUND more, normalised; and how many frames come before `start`."""
    lead = min(round(HEARD_AROUND * rate), int(start * rate + 1e-6))
    low = max(round((start - lead / rate) * SAMPLE_RATE), 0)
    high = min(round((end + HEARD_AROUND) * SAMPLE_RATE), len(samples))
    return ((samples[low:high] - level[0]) / level[1]).astype(np.float32), lead


def _without_meaning(request: Request) -> list[str]:
    """The sliders and layers that are set, other than the intensity."""
    settings = settings_of(Sliders, Layers)
    return [s.name for s in settings if s.name != "intensity" and getattr(request, s.name) != s.default]
