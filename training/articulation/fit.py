"""Fit the articulation rules to captured people: `python -m training.articulation.fit FOLDER… [--out FILE]`.

FOLDER holds utterances with captured motion (`training.corpus.captured`). Targets, dominances, time constants, leads,
loudness, stress and the ramps of the contacts are optimised together by gradient descent (Adam), so that the rules'
motion comes close to the captured one in what people see: opening and width of the mouth, height of both lips and of
the chin, and protrusion, in mm. A prior holds every value to the literature's as far as the capture says nothing.
Phones that it lacks are carried over from phones that are made alike (`RELATIVES`). FILE is what `targets` loads.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kmtalk_core.conditioning import STYLE_SPREAD
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz
from kmtalk_core.phones import BILABIALS, LABIODENTALS, SILENCE, VOWELS, Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS

from ..capture.solve import rig_measures
from . import synthesizer
from .loudness import loudness_curve
from .targets import ARTICULATORS, COLUMNS, FITTED_FILE, LITERATURE, ROWS, SIBILANTS, Rules

SEEN = ("jaw", "lips", "shape")  # the articulators that a camera sees
FREE = tuple(name for articulator in SEEN for name in ARTICULATORS[articulator] if name != "jawForward")
ENOUGH = 2.0  # s of a phone in the capture from which on it speaks for itself
# Phones that captured sentences may lack, and whose change they take over: made by the same articulator, lips alike.
RELATIVES = {
    "SH": ("CH", "JH"), "ZH": ("JH", "CH"), "CH": ("JH",), "JH": ("CH",), "NG": ("G", "K", "N"), "K": ("G",),
    "G": ("K",), "UH": ("UW",), "TH": ("DH",), "DH": ("TH", "D"), "HH": ("AH",), "AA": ("AE", "AH"), "AO": ("R", "OW"),
    "OW": ("AO", "UW"), "ER": ("R",), "Y": ("IY",), "W": ("UW",), "Z": ("S",), "M": ("B",), "P": ("B",), "V": ("F",),
    "F": ("V",), "AH": ("EH",), "L": ("N",),
}  # fmt: skip
# How much an error of 1 mm counts: opening, width, chin, upper and lower lip, protrusion (which the tracker guesses).
WEIGHTS = np.array([1.0, 0.8, 0.3, 0.5, 0.3, 0.15])
# The literature counts as so many seconds of each phone: a change of a target by what moves the mouth 1 mm like an
# error of 1 mm, a dominance of e times the literature's like one of DOMINANCE_MM. Time constants are held by
# themselves: a tracker that smooths over time makes them longer than they are.
PRIOR_SECONDS, DOMINANCE_MM, TIME_PRIOR = 40.0, 4.0, 15.0
SHAPE_PRIOR = 0.02  # mm² for each control that shapes the lips: no pucker against a stretch
BESIDE = 0.12  # s before and after speech that are learned from
STEPS, RATE = 400, 0.02
# Of one person: their lips may round and spread far less than the literature's speakers. The neutral speaker is midway
# between both (geometric mean), and the person's own style is told.
SHAPES = {"rounding": ("mouthFunnel", "mouthPucker"), "spreading": ("mouthStretch", "mouthSmile")}


@dataclass(frozen=True)
class Clips:
    """B clips, padded: T frames, S segments, K contacts of either kind."""

    times: Tensor  # (B, T)
    mask: Tensor  # (B, T)
    row: Tensor  # (B, S) int
    start: Tensor  # (B, S)
    end: Tensor
    stressed: Tensor  # (B, S) int: by the dictionary's digit, 3 for what has no stress
    pause: Tensor  # (B, S): dominance factor of silence, 1 for phones, 0 for padding
    rounded: Tensor  # (B, S)
    loudness: Tensor  # (B, T)
    contacts: dict[str, Tensor]  # kind → (B, K, 4): start, end without release, s into the pause before and after it
    goal: Tensor  # (B, T, M) mm


def read(folders: list[Path], every: int = 1) -> tuple[Clips, np.ndarray]:
    """The captured utterances below `folders`, and how many seconds of each row of the table there are."""
    files = sorted(path for folder in folders for path in folder.glob("*.npz"))[::every]
    if not files:
        raise InputError(f"There are no captured utterances in {folders[0]}; make some with training.corpus.captured.")
    rows, seconds = [], np.zeros(len(ROWS))
    measures = rig_measures(SPEECH_CONTROLS)
    for path in files:
        z = load_npz(path)
        samples = z["samples"].astype(np.float32) / 32768
        named = zip(z["phone_labels"], z["phone_starts"], z["phone_ends"], strict=True)
        phones = tuple(Phone(str(label), float(a), float(b)) for label, a, b in named)
        alignment = Alignment(phones, (), len(samples) / 16000, "captured")
        times = np.arange(len(z["controls"])) / float(z["control_fps"])
        stress = np.where([p.label in VOWELS for p in phones], z["stress"], 3)
        # The index of the stress travels through the place of its gain.
        plain = synthesizer._segments(alignment, stress, _with_gain(LITERATURE, np.arange(4.0)))
        segments = synthesizer._segments(alignment, None, LITERATURE)
        np.add.at(seconds, segments.row[1:-1], np.minimum(segments.end - segments.start, 1.0)[1:-1])
        voiced = segments.row != ROWS[SILENCE]
        rows.append(
            {
                "times": times,
                "mask": z["usable"].astype(np.float32),
                "row": segments.row,
                "start": segments.start,
                "end": segments.end,
                "stressed": np.where(np.isin(segments.row, _VOWEL_ROWS), plain.gain, 3).astype(np.int64),
                "pause": np.where(voiced, 1.0, segments.weight),
                "rounded": segments.rounded.astype(np.float32),
                "loudness": loudness_curve(samples, times),
                "lips": _contacts(alignment, BILABIALS),
                "teeth": _contacts(alignment, LABIODENTALS),
                "goal": z["controls"].astype(np.float64) @ measures,
            }
        )

    def padded(name: str) -> Tensor:
        longest = max(len(row[name]) for row in rows)
        first = rows[0][name]
        whole = np.zeros((len(rows), longest, *first.shape[1:]), np.int64 if first.dtype.kind == "i" else np.float32)
        for index, row in enumerate(rows):
            whole[index, : len(row[name])] = row[name]
        return torch.from_numpy(whole)

    names = ("times", "mask", "row", "start", "end", "stressed", "pause", "rounded", "loudness", "goal")
    return Clips(**{n: padded(n) for n in names}, contacts={k: padded(k) for k in ("lips", "teeth")}), seconds


_VOWEL_ROWS = [row for label, row in ROWS.items() if label in VOWELS]


def _with_gain(rules: Rules, gain: np.ndarray) -> Rules:
    return Rules(**{**vars(rules), "stress_gain": gain})


def _contacts(alignment: Alignment, labels: frozenset[str]) -> np.ndarray:
    """(K, 4): as `synthesizer._gate` finds them, one for neighbours of the same kind."""
    found = []
    runs = [(key, list(run)) for key, run in groupby(alignment.phones, key=lambda phone: phone.label in labels)]
    for i, (closed, phones) in enumerate(runs):
        if closed:
            release = synthesizer.RELEASE_SHARE.get(phones[-1].label, 0.0)
            end = phones[-1].end - release * (phones[-1].end - phones[-1].start)
            before = synthesizer._pause(runs[i - 1][1][-1]) if i else synthesizer.PAUSE_SEAL
            after = synthesizer._pause(runs[i + 1][1][0]) if i + 1 < len(runs) else synthesizer.PAUSE_SEAL
            lips = labels == BILABIALS
            found.append([phones[0].start, end, before * lips, after * (lips and phones[-1].label == "M")])
    return np.array(found).reshape(-1, 4)


class Model(torch.nn.Module):
    """The synthesizer's rules as a differentiable function of their values; `synthesizer` says what each does."""

    def __init__(self) -> None:
        super().__init__()
        lit = LITERATURE
        columns = [COLUMNS.index(name) for name in FREE]
        self.literature = torch.from_numpy(lit.targets[:, columns]).float()
        self.gain = torch.nn.Parameter(torch.zeros(len(FREE)))  # of all phones alike: a person opens more or less
        self.targets = torch.nn.Parameter(torch.zeros_like(self.literature))
        seen = [list(ARTICULATORS).index(name) for name in SEEN]
        self.dominances = torch.from_numpy(lit.dominance[:, seen]).float()
        self.dominance = torch.nn.Parameter(torch.zeros_like(self.dominances))
        self.constants = torch.tensor([lit.time_constant[name] for name in SEEN])
        self.constant = torch.nn.Parameter(torch.zeros(len(SEEN)))
        self.lead = torch.nn.Parameter(torch.zeros(len(SEEN)))  # in 10 ms
        self.loudness = torch.nn.Parameter(torch.tensor(lit.loudness_exponent))
        self.stress = torch.nn.Parameter(torch.from_numpy(lit.stress_gain[:2]).float().log())
        self.ramp = torch.nn.Parameter(torch.zeros(()))
        self.slack = torch.nn.Parameter(torch.zeros(()))
        # Silence is rest, whatever people do in it; and no camera sees the teeth that sibilants bring together.
        held = [[label == SILENCE or (label in SIBILANTS and name == "jawOpen") for name in FREE] for label in ROWS]
        self.held = torch.tensor(held)
        slow = [[label == SILENCE or (label in SIBILANTS and name == "jaw") for name in SEEN] for label in ROWS]
        self.changing = 1 - torch.tensor(slow).float()
        self.measures = torch.from_numpy(rig_measures(SPEECH_CONTROLS)).float()

    def goal(self) -> Tensor:
        """(rows, FREE) targets; none below 0."""
        moved = torch.nn.functional.softplus((self.literature * self.gain.exp() + self.targets) * 200) / 200
        return torch.where(self.held, self.literature, moved)

    def change(self) -> Tensor:
        """(rows, SEEN): the dominances' factors."""
        return (self.dominance * self.changing).exp()

    def curves(self, c: Clips) -> dict[str, Tensor]:
        """Column → (B, T) before contacts."""
        gain = torch.cat([self.stress.exp(), torch.ones(2)])[c.stressed]
        targets = self.goal()[c.row]  # (B, S, FREE)
        since_start, since_end = c.times[:, :, None] - c.start[:, None], c.times[:, :, None] - c.end[:, None]
        out: dict[str, Tensor] = {}
        at = 0
        for k, name in enumerate(SEEN):
            tau = self.constants[k] * self.constant[k].exp()
            lead = self.lead[k] * 0.01
            early = lead + (synthesizer.ROUNDED_LEAD * c.rounded[:, None] if name == "shape" else 0.0)
            present = torch.sigmoid((since_start + early) / tau) - torch.sigmoid((since_end + lead) / tau)
            weight = (self.dominances * self.change())[:, k][c.row] * c.pause * gain
            present = present.clamp(min=1e-7) * weight[:, None]
            columns = [n for n in ARTICULATORS[name] if n in FREE]
            goal = targets[:, :, at : at + len(columns)]
            if name != "shape":
                goal = goal * gain[:, :, None]
            blended = present @ goal / present.sum(2, keepdim=True)
            out.update(zip(columns, blended.unbind(2), strict=True))
            at += len(columns)
        opening = c.loudness.clamp(min=0.5) ** self.loudness
        for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp"):
            out[name] = out[name] * opening
        return out

    def gate(self, c: Clips, kind: str) -> Tensor:
        """(B, T): 1 where a contact is held."""
        spans = c.contacts[kind]
        slack, hold = torch.tensor(synthesizer.TOUCH_SLACK), synthesizer.TOUCH_HOLD
        if kind == "lips":
            slack, hold = LITERATURE.seal_slack * self.slack.exp(), LITERATURE.seal_hold
        ramp = LITERATURE.ramp * self.ramp.exp()
        middle, length = (spans[..., 0] + spans[..., 1]) / 2, spans[..., 1] - spans[..., 0]
        half = (length - slack).clamp(min=hold) / 2
        first = torch.where(spans[..., 2] > 0, spans[..., 0] - spans[..., 2], middle - half)
        last = torch.where(spans[..., 3] > 0, spans[..., 1] + spans[..., 3], middle + half)
        t = c.times[:, :, None]
        distance = torch.maximum(first[:, None] - t, t - last[:, None]).clamp(min=0) / ramp
        opened = 0.5 - 0.5 * torch.cos(torch.pi * distance.clamp(max=1))
        return 1 - torch.where((length > 0)[:, None], opened, 1.0).prod(2)

    def forward(self, c: Clips) -> Tensor:
        """(B, T, M) mm of the rules' motion."""
        curves = self.curves(c)
        seal, touch = self.gate(c, "lips"), self.gate(c, "teeth")
        parted, drawn = 1 - seal, touch**synthesizer.ROUND_TO_TOUCH
        controls = dict(curves)
        controls["mouthUpperUp"] = curves["mouthUpperUp"] * parted
        controls["mouthLowerDown"] = curves["mouthLowerDown"] * parted * (1 - touch)
        controls["mouthFunnel"] = curves["mouthFunnel"] * parted * (1 - 0.8 * drawn)
        controls["mouthPucker"] = curves["mouthPucker"] * (1 - 0.75 * drawn)
        controls["mouthStretch"] = curves["mouthStretch"] * (1 - 0.4 * seal)
        controls["mouthClose"] = curves["jawOpen"] * (seal + synthesizer.TOUCH_CLOSE * touch * parted)
        controls["mouthDimple"] = 0.45 * curves["mouthSmile"]
        controls["mouthShrugLower"] = 0.15 * curves["mouthPucker"]
        moved = torch.zeros(())
        for k, name in enumerate(SPEECH_CONTROLS):
            base = name.removesuffix("Left").removesuffix("Right")
            if base in controls:
                moved = moved + controls[base][..., None] * self.measures[k]
        return moved

    def prior(self, seconds: float) -> tuple[Tensor, Tensor]:
        """How far targets and dominances are from the literature, against `seconds` of capture; and the times."""
        both = [
            [k for k, n in enumerate(SPEECH_CONTROLS) if n.removesuffix("Left").removesuffix("Right") == name]
            for name in FREE
        ]
        size = torch.stack([self.measures[columns].sum(0).norm() for columns in both])  # mm at 1
        held = (self.targets * size).square().sum() + DOMINANCE_MM**2 * self.dominance.square().sum()
        times = (
            self.constant.square().mean() + self.ramp.square() + self.slack.square() + (self.lead / 2).square().mean()
        )
        literature = torch.from_numpy(LITERATURE.stress_gain[:2]).float().log()
        times = (
            times + (self.loudness - LITERATURE.loudness_exponent).square() + (self.stress - literature).square().sum()
        )
        return held / seconds, TIME_PRIOR * times


def fit(clips: Clips, seconds: np.ndarray, steps: int = STEPS, prior: float = PRIOR_SECONDS) -> Rules:
    """The rules that come closest to the clips; phones with less than ENOUGH seconds follow their relatives."""
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    weights = torch.from_numpy(WEIGHTS).float()
    # Where nothing is said nothing is learned but rest: a moment of it beside the speech is enough.
    mask = (clips.mask * _near_speech(clips))[..., None]
    said = float(seconds.sum() - seconds[ROWS[SILENCE]])
    for step in range(steps):
        error = (model(clips) - clips.goal) * mask
        held, times = model.prior(said)
        shape = model.goal()[:, [FREE.index(n) for n in ("mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile")]]
        loss = (
            (error.square() * weights).sum() / mask.sum()
            + prior * held
            + times
            + SHAPE_PRIOR * shape.square().sum(1).mean()
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step == steps - 1:
            rms = (error.square().sum((0, 1)) / mask.sum()).sqrt().tolist()
            print(
                f"step {step}: loss {loss.item():.3f}, rms mm {[round(x, 2) for x in rms]}", file=sys.stderr, flush=True
            )
    with torch.no_grad():
        return _rules(model, seconds)


def _near_speech(clips: Clips) -> Tensor:
    said = (clips.row != ROWS[SILENCE]) & (clips.pause > 0)
    first = torch.where(said, clips.start, torch.inf).amin(1, keepdim=True)
    last = torch.where(said, clips.end, -torch.inf).amax(1, keepdim=True)
    return ((clips.times > first - BESIDE) & (clips.times < last + BESIDE)).float()


def _rules(model: Model, seconds: np.ndarray) -> Rules:
    targets, dominance = LITERATURE.targets.copy(), LITERATURE.dominance.copy()
    columns = [COLUMNS.index(name) for name in FREE]
    seen = [list(ARTICULATORS).index(name) for name in SEEN]
    targets[:, columns] = np.clip(model.goal().numpy(), 0.0, 1.0)
    dominance[:, seen] *= model.change().numpy()
    gains = np.ones(len(COLUMNS))
    gains[columns] = model.gain.exp().numpy()
    print("gains", dict(zip(FREE, gains[columns].round(2).tolist(), strict=True)), file=sys.stderr)
    known = seconds >= ENOUGH
    labels = list(ROWS)
    for label, relatives in RELATIVES.items():
        row = ROWS[label]
        near = [ROWS[r] for r in relatives if known[ROWS[r]]]
        if known[row] or not near:
            continue
        change = (targets[near] - LITERATURE.targets[near] * gains).mean(0)
        ratio = (dominance[near] / LITERATURE.dominance[near]).mean(0)
        trust = seconds[row] / ENOUGH
        carried = np.clip(LITERATURE.targets[row] * gains + change, 0.0, 1.0)
        targets[row] = trust * targets[row] + (1 - trust) * carried
        dominance[row] = trust * dominance[row] + (1 - trust) * LITERATURE.dominance[row] * ratio
        print(f"{labels[row]}: {seconds[row]:.1f} s, carried over from {' '.join(relatives)}", file=sys.stderr)
    # The upper lip is measured where it is, but f, v meet the teeth below it: it may not leave them.
    upper = COLUMNS.index("mouthUpperUp")
    for label in LABIODENTALS:
        targets[ROWS[label], upper] = min(targets[ROWS[label], upper], LITERATURE.targets[ROWS[label], upper])
    own = {}
    for name, shapes in SHAPES.items():
        shaped = [COLUMNS.index(shape) for shape in shapes]
        share = float(np.sqrt(np.exp(np.log(gains[shaped]).mean())))  # of the neutral speaker's
        targets[:, shaped] = np.clip(targets[:, shaped] / share, 0.0, 1.0)
        own[name] = round(float(np.log(share)) / STYLE_SPREAD[name], 2)
    constant = dict(LITERATURE.time_constant)
    lead = dict(LITERATURE.lead)
    for k, name in enumerate(SEEN):
        constant[name] = float(model.constants[k] * model.constant[k].exp())
        lead[name] = float(model.lead[k] * 0.01)
    return Rules(
        targets=targets,
        dominance=dominance,
        time_constant=constant,
        lead=lead,
        loudness_exponent=float(model.loudness),
        stress_gain=np.array([*model.stress.exp().tolist(), 1.0, 1.0]),
        ramp=float(LITERATURE.ramp * model.ramp.exp()),
        seal_slack=float(LITERATURE.seal_slack * model.slack.exp()),
        seal_hold=LITERATURE.seal_hold,
        person=own,
    )


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.articulation.fit", description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of captured utterances")
    parser.add_argument("--out", type=Path, default=FITTED_FILE)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--prior", type=float, default=PRIOR_SECONDS, help="s of each phone that the literature counts")
    parser.add_argument("--every", type=int, default=1, help="use every N-th clip")
    options = parser.parse_args()
    try:
        clips, seconds = read(options.folders, options.every)
    except InputError as error:
        print(f"fit: {error}", file=sys.stderr)
        return 2
    fit(clips, seconds, options.steps, options.prior).save(options.out)
    print(f"wrote {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
