"""`python -m benchmarks.sheets`: films and contact sheets of real speech, to be looked at frame by frame.

For each clip and head a film with sound (front and three-quarter), and a sheet whose rows are closures, f and v,
rounded and open vowels and pauses, with the frames before and after. Under each frame: time, the phone that is really
said, and the gap between the lips above rest in mm.
"""

from __future__ import annotations

import argparse
import tempfile
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.phones import BILABIALS, LABIODENTALS, SILENCE, Phone
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.profiles import find_landmarks
from training.captured.raster import YAW, Painter, View, material_colours

from .clips import ROOT, SETS, JudgedClip, load_clips
from .judge import add_common, guarded
from .measures import OPEN, observe
from .stage import FLAME_HEAD, FPS, KMTalk, landmarks_of

OUT = ROOT / "runs" / "sheets"
LONGEST = 10.0  # s of a clip that are shown
CLIPS = 6
AROUND = 3  # frames before and after an event
CELL, FILM = 132, 256  # pixels
LABEL = 26
# What is looked at, and how many of each in a clip.
EVENTS = (
    ("closure", BILABIALS, 4),
    ("f, v", LABIODENTALS, 2),
    ("rounded", frozenset({"UW", "OW", "W", "UH"}), 3),
    ("open", OPEN, 2),
    ("th, l", frozenset({"TH", "DH", "L"}), 1),
    ("sh, ch", frozenset({"SH", "CH", "JH", "ZH", "S", "Z"}), 1),
    ("pause", frozenset({SILENCE}), 2),
)


@dataclass(frozen=True)
class Job:
    clip: JudgedClip
    head: Path
    transcript: bool
    checkpoint: Path | None
    film: bool
    out: Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sheets", description=__doc__.splitlines()[0])
    add_common(parser)
    parser.add_argument("--clips", nargs="+", help=f"names of clips (default: {CLIPS} of all sets)")
    parser.add_argument("--without-transcript", action="store_true", help="show KMTalk without transcripts")
    parser.add_argument("--no-films", action="store_true", help="sheets only")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the pictures and films")
    options = parser.parse_args()
    return guarded(parser.prog, lambda: draw(options))


def draw(options: argparse.Namespace) -> None:
    """Draw sheets and films of the chosen clips on every head that is at hand."""
    sets = [load_clips(SETS.get(name, Path(name)), options.speech) for name in options.set]
    clips = [clip for clips in sets for clip in clips if clip.name in options.clips] if options.clips else choose(sets)
    options.out.mkdir(parents=True, exist_ok=True)
    heads = [DEMO_HEAD, *([FLAME_HEAD] if FLAME_HEAD.is_file() else [])]
    jobs = [
        Job(clip, head, not options.without_transcript, options.checkpoint, not options.no_films, options.out)
        for clip in clips
        for head in heads
    ]
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for written in pool.map(draw_one, jobs):
            print(*written, sep="\n", flush=True)


def choose(sets: Sequence[Sequence[JudgedClip]]) -> list[JudgedClip]:
    """CLIPS clips, in turn of every set, those with the most bilabials a second first."""
    ranked = [sorted(clips, key=lambda c: -sum(p.label in BILABIALS for p in c.phones) / c.duration) for clips in sets]
    in_turn = [clip for place in range(CLIPS) for clips in ranked for clip in clips[place : place + 1]]
    return in_turn[:CLIPS]


def draw_one(job: Job) -> list[Path]:
    """The sheet and, if wanted, the film of one clip on one head."""
    whole = load_sound(job.clip.path)
    motion = KMTalk(job.transcript, job.checkpoint, job.head)(whole, job.clip)
    frames = min(len(motion.controls), round(LONGEST * FPS) + 1)
    mesh = load_mesh(job.head)
    rig, marks = build_rig(mesh), find_landmarks(mesh)
    vertices = rig.vertices(motion.controls[:frames], motion.names)
    neutral = rig.neutral[marks] * 1000.0
    seen = observe(landmarks_of(motion, job.head)[:frames], neutral, FPS, job.clip.phones, frames / FPS)
    painter = Painter(mesh, marks, material_colours(job.head))
    name = f"{job.clip.path.stem}_{job.head.stem}{'' if job.transcript else '_without'}"
    written = [job.out / f"{name}.png"]
    rest = rig.neutral[marks]
    write_sheet(written[0], painter, vertices, rest, job.clip, seen.gap)
    if job.film:
        written.append(job.out / f"{name}.mp4")
        write_film(written[1], painter, vertices, rest, whole)
    return written


def write_sheet(
    path: Path, painter: Painter, vertices: np.ndarray, rest: np.ndarray, clip: JudgedClip, gap: np.ndarray
) -> None:
    """One row for each event of `clip`: 2 × AROUND + 1 frames from the front, then from three-quarter."""
    centre = (rest[33] + rest[8]) / 2  # between nose and chin
    height = 1.55 * float(np.linalg.norm(rest[33] - rest[8]))
    views = [View(yaw, centre, height) for yaw in YAW.values()]
    chosen = list(events(clip.phones, len(vertices)))
    columns = 2 * AROUND + 1
    sheet = Image.new("RGB", (len(views) * columns * CELL + 8, len(chosen) * (CELL + LABEL)), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for row, (_, middle) in enumerate(chosen):
        for number, view in enumerate(views):
            for column, frame in enumerate(range(middle - AROUND, middle + AROUND + 1)):
                if not 0 <= frame < len(vertices):
                    continue
                x, y = (number * columns + column) * CELL + 8 * number, row * (CELL + LABEL)
                picture = Image.fromarray(painter.paint(vertices[frame], view, 2 * CELL))
                sheet.paste(picture.resize((CELL, CELL), Image.Resampling.BOX), (x, y))
                said = next((p.label for p in clip.phones if p.start <= frame / FPS < p.end), "")
                pen.text((x + 3, y + CELL + 1), f"{frame / FPS:.2f} {said} {gap[frame]:.1f}", (0, 0, 0), font)
                if column == AROUND:
                    pen.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=(220, 60, 40), width=2)
    sheet.save(path)


def events(phones: Sequence[Phone], frames: int) -> Iterator[tuple[str, int]]:
    """(kind, frame in the middle) of what is worth looking at, spread over the clip."""
    for kind, labels, count in EVENTS:
        inside = [p for p in phones if p.label in labels and p.end * FPS < frames - 1 and p.end - p.start > 0.02]
        if kind == "pause":
            inside = [p for p in inside if p.end - p.start >= 0.2]
        for index in np.unique(np.linspace(0, len(inside) - 1, count).astype(int)) if inside else ():
            yield kind, round((inside[index].start + inside[index].end) / 2 * FPS)


def write_film(path: Path, painter: Painter, vertices: np.ndarray, rest: np.ndarray, sound: Sound) -> None:
    """Front and three-quarter side by side, with sound."""
    from demo.render import write_film as encode

    centre = rest[30] * [0, 1, 1]
    height = 2.6 * float(np.linalg.norm(rest[27] - rest[8]))

    def frames() -> Iterator[np.ndarray]:
        for pose in vertices:
            yield np.concatenate([painter.paint(pose, View(yaw, centre, height), FILM) for yaw in YAW.values()], axis=1)

    with tempfile.TemporaryDirectory(prefix="kmtalk-sheets-") as folder:
        wav = Path(folder, "sound.wav")
        with wave.open(str(wav), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
            heard = sound.samples[: round(len(vertices) / FPS * SAMPLE_RATE)]
            file.writeframes(np.rint(heard * 32767).astype("<i2").tobytes())
        encode(frames(), FPS, wav, path)


if __name__ == "__main__":
    raise SystemExit(main())
