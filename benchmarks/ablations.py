"""`python -m benchmarks.ablations`: what each part of KMTalk contributes, on the same clips and phones.

full                    as a user gets it
bare rules              the articulation synthesizer that training learns from, on the same phones, no networks
sound withheld          LKMA and CMC see the clip's mean audio feature at all times: phones alone guide them
phones withheld         LKMA is not told the phones: the sound alone guides it (the key instants stay)
both withheld           neither sound nor phones: what remains is where the keys are
uniform key motions     a third of the frames instead of the phones' apexes (the paper's ablation)
without contacts        neither the seal of key motions nor the contact step at the end
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from kmtalk_core import animator as animator_module
from kmtalk_core.animator import Request, frame_times
from kmtalk_core.audio import Sound
from kmtalk_core.conditioning import unknown_context
from kmtalk_core.finish import compose as finish
from kmtalk_core.motion import KeyMotions
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.runtime.inference import Backend

from .clips import SETS, JudgedClip, load_clips
from .judge import add_common, guarded
from .measures import figures
from .stage import FPS, Motion, Take, animator, default_head, lips_of, watch_table
from .table import AIMS, head, record, row

WITHHELD = {"sound withheld": (True, False), "phones withheld": (False, True), "both withheld": (True, True)}
VARIANTS = ("full", "bare rules", *WITHHELD, "uniform key motions", "without contacts")


@dataclass(frozen=True)
class Variant:
    """KMTalk without one of its parts: `name` from VARIANTS."""

    name: str
    transcript: bool
    checkpoint: Path | None = None

    def __call__(self, sound: Sound, clip: JudgedClip) -> Motion:
        performer = animator(self.checkpoint)
        text = clip.text if self.transcript else None
        alignment = performer.align(sound, Request(transcript=text, fps=FPS))
        if self.name == "bare rules":
            return _rules(sound, alignment, text)
        rule = "uniform" if self.name == "uniform key motions" else Request().key_rule
        request = Request(alignment=alignment, fps=FPS, key_rule=rule, lip_line=lips_of(default_head()))
        if self.name in WITHHELD:
            backend = Withholding(performer._backend, *WITHHELD[self.name])
            with mock.patch.object(performer, "_backend", backend):
                animation = performer.animate(sound, request)
        elif self.name == "without contacts":
            with (
                mock.patch.object(animator_module, "seal_lips", _unsealed),
                mock.patch.object(finish, "hold_contacts", _not_held),
            ):
                animation = performer.animate(sound, request)
        else:
            animation = performer.animate(sound, request)
        return Motion(animation.controls, animation.control_names)


class Withholding:
    """A backend that keeps the sound, the phones or both from LKMA and CMC."""

    def __init__(self, backend: Backend, sound: bool, phones: bool) -> None:
        self.name = backend.name
        self._backend, self._sound, self._phones = backend, sound, phones

    def encode(self, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._backend.encode(mel)

    def key_motions(
        self, audio_at_keys: np.ndarray, phones: np.ndarray, timing: np.ndarray, key_times: np.ndarray
    ) -> np.ndarray:
        if self._phones:
            phones, timing = unknown_context(len(key_times))
        return self._backend.key_motions(self._kept(audio_at_keys), phones, timing, key_times)

    def complete(
        self, audio: np.ndarray, keys: np.ndarray, key_times: np.ndarray, times: np.ndarray, key_of: np.ndarray
    ) -> np.ndarray:
        return self._backend.complete(self._kept(audio), keys, key_times, times, key_of)

    def _kept(self, audio: np.ndarray) -> np.ndarray:
        return np.broadcast_to(audio.mean(0), audio.shape) if self._sound else audio


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=__doc__.splitlines()[0])
    add_common(parser, ["held-out"])
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip (default: 1)")
    options = parser.parse_args()
    return guarded(parser.prog, lambda: measure(options))


def measure(options: argparse.Namespace) -> None:
    """Print a table with transcript and one without. Raises InputError."""
    clips = [clip for name in options.set for clip in load_clips(SETS.get(name, Path(name)), options.speech)]
    clips = clips[:: options.every]
    for kind in ("with", "without"):
        variants = {name: Variant(name, kind == "with", options.checkpoint) for name in VARIANTS}
        rows = [(name, [Take(variant, clip) for clip in clips]) for name, variant in variants.items()]
        seen = {name: figures(observed) for name, observed in watch_table(rows, options.workers).items()}
        print(f"\n{kind} transcript, {len(clips)} clips\n\n{head('variant')}")
        for name, found in seen.items():
            print(row(name, found, AIMS[kind]), flush=True)
        record(options.json, f"ablations {kind} transcript", seen)


def _rules(sound: Sound, alignment: object, text: str | None) -> Motion:
    from kmtalk_core.phones import Alignment
    from training.articulation import loudness_curve, synthesize
    from training.corpus import Label
    from training.corpus.stress import with_stress

    assert isinstance(alignment, Alignment)
    times = frame_times(alignment.duration, FPS)
    stress = None
    if text is not None:
        labels = [Label(p.label, p.start, p.end) for p in alignment.phones]
        stress = [max(label.stress, 0) for label in with_stress(labels, text)]
    loudness = loudness_curve(sound.samples, times)
    return Motion(synthesize(alignment, times, loudness=loudness, stress=stress), SPEECH_CONTROLS)


def _unsealed(keys: KeyMotions, *_: object) -> KeyMotions:
    return keys


def _not_held(times: np.ndarray, motion: np.ndarray, *_: object, **__: object) -> np.ndarray:
    return motion.copy()


if __name__ == "__main__":
    raise SystemExit(main())
