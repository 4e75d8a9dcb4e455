"""A small data set in the layout of the public ones, from the articulation synthesizer and the rig.

Every subject has a face of its own (the head deformed smoothly, the rig built anew on it), a speaking style and a
voice. So the whole recipe runs without any restricted data; what it says about methods is about rules, not faces.
"""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS, DEMO_HEAD
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.localization.textgrid import save_alignment
from kmtalk_core.phones import SILENCE, VOWELS, Alignment, Phone
from kmtalk_core.rig.articulation import Rig, build_rig
from kmtalk_core.rig.controls import CONTROL_INDEX, CONTROLS, SPEECH_CONTROLS, UPPER_FACE_CONTROLS
from kmtalk_core.rig.mesh import Mesh, load_mesh
from kmtalk_core.rig.profiles import find_landmarks
from training.articulation import Style, loudness_curve, synthesize
from training.corpus import voices

from .description import write_description

SENTENCES = (
    "Bob put five big boxes by the open window.", "We saw the moon above the blue pool.",
    "My mother found a very warm wool vest.", "She thought the fish was far too cheap.",
    "Please move the yellow chair upstairs.", "Few people believe such a wild story.",
    "Pat poured hot coffee for everybody.", "The farmer wove a rough basket of rushes.",
    "Why would you want to wash the puppy?", "Maybe Phoebe would help him measure the room.",
    "Oh boy, that was a huge mistake!", "Both thieves vanished before the watch came by.",
)  # fmt: skip
MARGIN = 0.35  # of the face's size, kept around the landmarks
IDENTITY = 0.06  # of the face's size: how far a subject's face differs
BLINK_INTERVAL, BLINK_HALF = 1.8, 0.13  # s
BROW_SHARE, BROW_HALF = 0.3, 0.25  # of the stressed vowels, s
FALLBACK = "sample"


@dataclass(frozen=True)
class Spoken:
    """A sentence with its phones; `stress` (P,) as the CMU dictionary gives it."""

    samples: np.ndarray
    alignment: Alignment
    stress: np.ndarray
    text: str


def make_source(
    folder: Path,
    subjects: int = 4,
    sentences: int = 6,
    vertices: int = 800,
    fps: float = 30.0,
    seed: int = 0,
    mesh_file: Path | None = None,
    voice: str = "auto",
    progress: Callable[[float, str], None] = lambda share, doing: None,
) -> None:
    """Write wav, vertices_npy, text, alignments, templates.npz, mesh.npz, the vertex lists and dataset.toml.

    The last subject is kept for the test, and of each other subject the last sentence for validation. `voice`: an
    engine of training.corpus.voices, "sample" (the project's own recording, in several pitches) or "auto". The same
    arguments give the same files. Raises InputError for sizes that make no data set.
    """
    if subjects < 2 or sentences < 2 or vertices < 100:
        raise InputError("A synthetic data set needs two subjects, two sentences and 100 vertices at least.")
    engine = _engine(voice)
    mesh = load_mesh(mesh_file or DEMO_HEAD)
    marks = find_landmarks(mesh)
    progress(0.0, "coarsening the mesh")
    kept, faces = face_patch(mesh, marks, vertices)
    for name in ("wav", "vertices_npy", "text", "alignments"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    templates = {}
    for subject in range(subjects):
        name, rng = f"S{subject + 1:02d}", np.random.default_rng([seed, subject])
        progress(subject / subjects, f"subject {name}")
        rig = build_rig(replace(mesh, vertices=identity(mesh.vertices, marks, rng), landmarks=marks))
        patch = replace(rig, neutral=rig.neutral[kept], shapes=rig.shapes[:, kept])
        templates[name] = patch.neutral.astype(np.float32)
        style = Style.random(rng)
        texts = [SENTENCES[(subject * 5 + k) % len(SENTENCES)] for k in range(sentences)]
        for k, spoken in enumerate(_speak(engine, texts, seed, subject)):
            clip = f"{name}_sentence{k + 1:02d}"
            _write_wav(folder / "wav" / f"{clip}.wav", spoken.samples)
            motion = animate(patch, spoken, replace(style, seed=int(rng.integers(2**31))), fps, seed + 97 * k)
            np.save(folder / "vertices_npy" / f"{clip}.npy", motion.reshape(len(motion), -1))
            (folder / "text" / f"{clip}.txt").write_text(spoken.text + "\n", encoding="utf-8")
            save_alignment(spoken.alignment, folder / "alignments" / f"{clip}.TextGrid")
    place = {int(v): i for i, v in enumerate(kept)}
    on_patch = [place[int(mark)] for mark in marks]
    last = f"sentence{sentences:02d}"
    seen = [f"S{s + 1:02d}" for s in range(subjects - 1)]
    splits = {
        "train": [f"{s}_sentence{k + 1:02d}" for s in seen for k in range(sentences - 1)],
        "val": [f"{s}_{last}" for s in seen],
        "test": [f"S{subjects:02d}_*"],
    }
    neutral = {"vertices": templates["S01"], "faces": faces}
    masks = regions(rig=patch, neutral=patch.neutral, marks=np.array(on_patch))
    write_description(folder, "synthetic", fps, "m", templates, neutral, masks, splits, on_patch)


# --- faces ------------------------------------------------------------------------------------------------------------


def face_patch(mesh: Mesh, marks: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count,) vertices of the skin around the landmarks, the landmarks among them, and (F, 3) triangles over them.

    Farthest-point samples; two samples whose regions on the surface touch are joined. Distances run along the surface,
    so the lips stay apart.
    """
    points = mesh.vertices
    low, high = points[marks].min(0), points[marks].max(0)
    size = float(np.linalg.norm(high - low))
    near = (points > low - MARGIN * size / 2).all(1) & (points < high + MARGIN * size / 2).all(1)
    ends = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    ends = ends[near[ends].all(1)]
    lengths = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1) + 1e-9 * size
    graph = coo_matrix((lengths, ends.T), shape=(len(points),) * 2).tocsr()
    chosen = list(dict.fromkeys(int(m) for m in marks))
    distance = np.min(dijkstra(graph, directed=False, indices=chosen), axis=0)
    reachable = np.isfinite(distance)  # the skin only: eyes and teeth are other components
    distance[~reachable] = 0.0
    if reachable.sum() <= count:
        chosen = np.flatnonzero(reachable).tolist()
    while len(chosen) < min(count, int(reachable.sum())):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, dijkstra(graph, directed=False, indices=chosen[-1], limit=distance.max()))
    kept = np.array(sorted(chosen))
    _, _, owner = dijkstra(graph, directed=False, indices=kept, min_only=True, return_predecessors=True)
    inside = mesh.faces[reachable[mesh.faces].all(1)]
    triangles = owner[inside]
    triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(1)]
    place = np.full(len(points), -1)
    place[kept] = np.arange(len(kept))
    triangles = place[triangles]
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    return kept, triangles[np.sort(first)].astype(np.int64)


def identity(vertices: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another person's head: a slight scaling of each axis and a few smooth bumps, (V, 3)."""
    face = vertices[marks]
    size, middle = float(np.linalg.norm(np.ptp(face, axis=0))), face.mean(0)
    out = middle + (vertices - middle) * (1 + rng.normal(0.0, IDENTITY / 2, 3))
    for _ in range(6):
        centre, reach = face[rng.integers(len(face))], size * rng.uniform(0.35, 0.6)
        weight = np.exp(-np.square((vertices - centre) / reach).sum(1))[:, None]
        out = out + weight * rng.normal(0.0, IDENTITY / 6, 3) * size
    return out


def regions(rig: Rig, neutral: np.ndarray, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the lips (near the lips' `marks`, vertices of the patch) and of the upper face (moved by the brows
    and lids)."""
    mouth = neutral[marks[48:68]]
    width = float(np.linalg.norm(mouth[0] - mouth[6]))
    near = np.linalg.norm(neutral[:, None] - mouth[None], axis=2).min(1) < 0.12 * width
    rows = [CONTROL_INDEX[n] for n in UPPER_FACE_CONTROLS if n.startswith(("brow", "eyeBlink"))]
    moved = np.linalg.norm(rig.shapes[rows], axis=2).max(0)
    return np.flatnonzero(near), np.flatnonzero(moved > 0.35 * moved.max())


def animate(rig: Rig, spoken: Spoken, style: Style, fps: float, seed: int) -> np.ndarray:
    """(T, V, 3) float32 at `fps`: lips by the synthesizer, blinks and brows by the upper-face layer."""
    times = np.arange(int(len(spoken.samples) / SAMPLE_RATE * fps)) / fps
    loudness = loudness_curve(spoken.samples, times)
    controls = np.zeros((len(times), len(CONTROLS)), np.float32)
    controls[:, [CONTROL_INDEX[n] for n in SPEECH_CONTROLS]] = synthesize(
        spoken.alignment, times, loudness=loudness, stress=spoken.stress, style=style
    )
    for name, curve in brows_and_lids(times, spoken, np.random.default_rng([seed, style.seed])).items():
        controls[:, CONTROL_INDEX[name]] = curve
    return rig.vertices(controls, CONTROLS)


def brows_and_lids(times: np.ndarray, spoken: Spoken, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Blinks at random intervals, and brows that rise on some stressed vowels: something for the upper face's metrics.

    Simple on purpose, and its own: figures on this data should not move with the product's livelier upper face.
    """

    def bump(at: float, half: float) -> np.ndarray:
        return 0.5 + 0.5 * np.cos(np.pi * np.clip((times - at) / half, -1, 1))

    lids, brows = np.zeros(len(times)), np.zeros(len(times))
    at = rng.uniform(0.3, BLINK_INTERVAL)
    while at < spoken.alignment.duration:
        lids = np.maximum(lids, bump(at, BLINK_HALF))
        at += rng.uniform(0.5, 1.5) * BLINK_INTERVAL
    for phone, stress in zip(spoken.alignment.phones, spoken.stress, strict=True):
        if stress and rng.random() < BROW_SHARE:
            brows = np.maximum(brows, rng.uniform(0.2, 0.6) * bump((phone.start + phone.end) / 2, BROW_HALF))
    return {
        "eyeBlinkLeft": lids,
        "eyeBlinkRight": lids,
        "browInnerUp": brows,
        "browOuterUpLeft": 0.8 * brows,
        "browOuterUpRight": 0.7 * brows,
    }


# --- voices -----------------------------------------------------------------------------------------------------------


def _engine(wanted: str) -> str:
    """The first engine that is installed, or the project's own recording."""
    if wanted not in ("auto", FALLBACK, *voices.ENGINES):
        raise InputError(f"There is no voice {wanted}; choose auto, {FALLBACK}, {', '.join(voices.ENGINES)}.")
    if wanted != "auto":
        return wanted
    return next((engine for engine in ("flite", "espeak") if not voices.available(engine)), FALLBACK)


def _speak(engine: str, texts: list[str], seed: int, subject: int) -> list[Spoken]:
    if engine == FALLBACK:
        return _from_sample(len(texts), subject)
    # The same generator for every sentence draws the same voice, rate and pitch.
    rngs = [np.random.default_rng([seed, 7, subject]) for _ in texts]
    said = []
    for text, utterance in zip(texts, voices.speak(engine, texts, rngs), strict=True):
        z = utterance.arrays()
        phones = zip(z["phone_labels"].tolist(), z["phone_starts"].tolist(), z["phone_ends"].tolist(), strict=True)
        alignment = Alignment(tuple(Phone(*p) for p in phones), (), utterance.duration, engine)
        said.append(Spoken(utterance.samples, alignment, np.maximum(z["stress"].astype(np.int64), 0), text))
    return said


def _from_sample(count: int, subject: int) -> list[Spoken]:
    """Stretches of the project's recording, played faster or slower for each subject."""
    sound = load_sound(ASSETS / "sample_speech.flac")
    text = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")
    factor = 1.0 + 0.06 * ((subject % 5) - 2)
    n = round(len(sound.samples) / factor)
    samples = np.interp(np.arange(n) * factor, np.arange(len(sound.samples)), sound.samples).astype(np.float32)
    aligned = Animator().align(Sound(samples, sound.sha256, sound.path), Request(transcript=text))
    seconds, said = min(3.0, aligned.duration / 2), []
    for start in np.linspace(0.0, aligned.duration - seconds, count):
        inside = [
            Phone(p.label, max(p.start - start, 0.0), min(p.end - start, seconds))
            for p in aligned.phones
            if p.end > start and p.start < start + seconds
        ]
        alignment = Alignment.from_segments(inside, (), seconds, FALLBACK)
        words = " ".join(w.label for w in aligned.words if w.start >= start and w.end <= start + seconds)
        stress = np.array([int(p.label in VOWELS and p.label != SILENCE) for p in alignment.phones])
        first = round(start * SAMPLE_RATE)
        said.append(Spoken(samples[first : first + round(seconds * SAMPLE_RATE)], alignment, stress, words))
    return said


def _write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
