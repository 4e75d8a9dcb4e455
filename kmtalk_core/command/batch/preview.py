"""What a report shows of a line without its result: how far the lips open, how loud it is, and the words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...audio import Sound
    from ...finish.report import ContactReport
    from ...motion import Animation

WIDEST = 24.0  # mm that the largest digit stands for
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
POINTS = 160  # of a curve, at the most
WORDS = 60  # that are kept, at the most
POSES = 24  # key motions that are kept, at the most
POSED = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "mouthSmile", "mouthFrown", "mouthStretch", "mouthLowerDown", "mouthUpperUp", "mouthPress",
    "tongueTipUp", "eyeBlink",
)  # controls that are kept of a pose, left and right as one  # fmt: skip
STEP = 0.04  # s between two points of a short line


def preview_of(animation: Animation, sound: Sound, contacts: ContactReport) -> str:
    """The preview of a result, as JSON.

    `opening` and `sound`: a digit for each `step` seconds, of up to WIDEST mm and up to full scale; `words`: label,
    start, end, confidence; `missed`: phone, start, end. `keys`: frames of key motions, `poses`: a digit for each
    of POSED at each of them, `fps`: of these frames.
    """
    from ...finish.contact_poses import lips_apart

    duration = animation.alignment.duration
    count = max(2, min(POINTS, round(duration / STEP)))
    instants = np.linspace(0.0, duration, count)
    apart = lips_apart(animation.controls, animation.control_names, animation.lip_line)
    opening = np.interp(instants, animation.times, apart)
    starts = np.linspace(0, len(sound.samples), count, endpoint=False).astype(int)
    loudness = np.maximum.reduceat(np.abs(sound.samples), starts) if len(sound.samples) >= count else np.zeros(count)
    words = animation.alignment.words[:WORDS]
    frames, poses = _poses(animation)
    preview = {
        "opening": _digits(opening / WIDEST),
        "sound": _digits(loudness**0.7),  # closer to what one hears than the amplitude is
        "step": round(duration / (count - 1), 4),
        "words": [[w.label[:40], round(w.start, 2), round(w.end, 2), round(w.confidence, 2)] for w in words],
        "missed": [[v.phone, round(v.start, 2), round(v.end, 2)] for v in contacts.violations[:WORDS]],
        "fps": round(animation.fps, 3),
        "keys": frames.tolist(),
        "poses": _digits(poses.ravel()),
    }
    return json.dumps(preview, ensure_ascii=False, separators=(",", ":"))


def _poses(animation: Animation) -> tuple[np.ndarray, np.ndarray]:
    """Frames (k,) of key motions, evenly chosen where there are many, and POSED (k, n) there."""
    frames = np.unique(np.clip(animation.key_frames, 0, len(animation.times) - 1))
    if len(frames) > POSES:
        frames = frames[np.linspace(0, len(frames) - 1, POSES).round().astype(int)]
    column = {name: place for place, name in enumerate(animation.control_names)}
    poses = np.zeros((len(frames), len(POSED)))
    for place, name in enumerate(POSED):
        parts = [column[part] for part in (name, f"{name}Left", f"{name}Right") if part in column]
        if parts:
            poses[:, place] = animation.controls[frames][:, parts].mean(1)
    return frames, poses


def opening_of(preview: str) -> tuple[np.ndarray, float]:
    """The curve that a preview keeps: (n,) mm, and the seconds between two points."""
    kept = json.loads(preview)
    place = {digit: number for number, digit in enumerate(DIGITS)}
    return np.array([place[digit] for digit in kept["opening"]]) * WIDEST / (len(DIGITS) - 1), float(kept["step"])


def words_of(preview: str) -> list[str]:
    """The words that a preview keeps."""
    return [str(word[0]) for word in json.loads(preview)["words"]]


def change_between(before: str, after: str) -> tuple[float, int]:
    """By how many mm the lips are open otherwise at the most, and how many words are others."""
    (old, old_step), (new, new_step) = opening_of(before), opening_of(after)
    times = np.arange(len(old)) * old_step
    times = times[times <= (len(new) - 1) * new_step + 1e-9]
    apart = np.abs(old[: len(times)] - np.interp(times, np.arange(len(new)) * new_step, new))
    return round(float(apart.max(initial=0.0)), 2), other_words(words_of(before), words_of(after))


def other_words(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words were added, left out or changed; upper and lower case do not count."""
    a, b = ([word.lower() for word in words] for words in (before, after))
    same = sum(block.size for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())
    return max(len(a), len(b)) - same


def _digits(shares: np.ndarray) -> str:
    places = np.clip(np.rint(shares * (len(DIGITS) - 1)), 0, len(DIGITS) - 1).astype(int)
    return "".join(DIGITS[place] for place in places)
