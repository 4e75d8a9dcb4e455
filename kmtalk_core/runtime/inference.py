"""The networks over sound of any length: pieces of bounded size that overlap, cross-faded where they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..conditioning import phone_context
from ..errors import KMTalkError
from ..features import HOP, MEL_RATE, SAMPLE_RATE, log_mel, mel_frame_count, speech_gain, timbre
from ..localization.keys import KeyInstants
from ..memory import let_wait, waiting_zeros
from ..motion import KeyMotions
from ..onset import find_onset
from ..packed import Preceded, Samples, stretch
from ..phones import PHONES, Alignment
from ..pitch import Periodicity, contour, periodicity
from ..sound_kinds import KINDS, RATE, WORDS, shipped_kinds
from ..threads import in_order

PIECE = 12.0  # s handed to a network at once
OVERLAP = 2.0  # s that neighbouring pieces share
BEFORE = 0.5  # s of silence before speech that its first piece begins with

Share = Callable[[float], None]  # hears the share that is done, 0…1; may raise Cancelled


class Completer(Protocol):
    """What completion asks of a backend; arrays without a batch dimension."""

    def complete(
        self, audio: np.ndarray, keys: np.ndarray, key_times: np.ndarray, times: np.ndarray, key_of: np.ndarray
    ) -> np.ndarray: ...


class Backend(Completer, Protocol):
    """What onnx_backend and torch_backend offer; arrays without a batch dimension."""

    name: str

    def encode(self, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...

    def key_motions(
        self, audio_at_keys: np.ndarray, phones: np.ndarray, timing: np.ndarray, key_times: np.ndarray
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Heard:
    """What the audio encoder makes of a sound, at `rate` Hz.

    `audio` (N, d) float16 is A of the paper; `phone_log_posteriors` (N, phones) float16; `prosody` (N, 4) float16:
    loudness relative to the speaker's own level, stress, pitch in semitones above the speaker's median, and
    brightness in dB; `voiced` (N,) bool; `kinds` (N, sound_kinds.KINDS) float16, the chances of words, laughs,
    breaths and so on; `timbre` (N, 2) float16, level and brightness in dB; `pitch` the median in Hz, 0 where no
    voice is. Index i is `lead` s (less than 1 / `rate`) before i / `rate` s of the sound; counted like the indices,
    there is something to hear from `onset` s on.
    """

    audio: np.ndarray
    phone_log_posteriors: np.ndarray
    prosody: np.ndarray
    voiced: np.ndarray
    kinds: np.ndarray
    timbre: np.ndarray
    pitch: float
    rate: float
    lead: float = 0.0
    onset: float = 0.0

    def posteriors_from_start(self) -> np.ndarray:
        """(M, phones) float32: the log-posteriors at i / `rate` s of the sound itself."""
        if not self.lead:
            return self.phone_log_posteriors.astype(np.float32)
        times = np.arange(len(self.phone_log_posteriors)) / self.rate + self.lead
        return at_times(self.phone_log_posteriors, self.rate, times)


def hear(backend: Backend, samples: Samples, rate: float, progress: Share = lambda share: None) -> Heard:
    """(n,) float32 samples at 16 kHz → features A, phone posteriors and prosody at `rate` Hz."""
    onset = find_onset(samples)
    samples = Preceded(onset.lead, samples)
    gain = speech_gain(samples)
    stride = round(MEL_RATE / rate)
    n = (mel_frame_count(len(samples)) + stride - 1) // stride

    def listen(span: tuple[Piece, Piece | None]) -> tuple[Piece, Periodicity, tuple[np.ndarray, ...]]:
        piece, before = span
        # The silence before the sound belongs to the piece: however much of it there is in the file, it is the same.
        begin, end = round(piece.start * rate) * stride, min(piece.last * stride, mel_frame_count(len(samples)))
        margin = HOP * stride  # so that the frames at the edges see the sound they are centred at
        around = stretch(samples, begin * HOP - margin, min(end * HOP + margin, len(samples)))
        mel = log_mel(around, gain)[stride : stride + end - begin]
        voice = periodicity(samples, rate, before.last if before else 0, piece.last)
        audio, logits, prosody = backend.encode(mel)
        top = logits.max(1, keepdims=True)
        log_posteriors = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
        heard_of = (audio, log_posteriors, prosody, _kinds(mel, log_posteriors, rate), timbre(mel[::stride]))
        return piece, voice, tuple(part[piece.first - begin // stride :] for part in heard_of)

    arrays: list[np.ndarray] = []
    voices: list[Periodicity] = []
    finite = True
    several = list(pieces(np.arange(n) / rate, onset.at / SAMPLE_RATE))
    for piece, voice, parts in in_order(listen, zip(several, [None, *several], strict=False)):
        if not arrays:
            arrays = [waiting_zeros((n, part.shape[1]), np.float16) for part in parts]
        for whole, part in zip(arrays, parts, strict=True):
            piece.add(whole, part)
            finite = finite and bool(np.isfinite(whole[piece.first : piece.last]).all())
        let_wait(*arrays)
        voices.append(voice)
        progress(piece.last / n)
    if not finite:
        raise KMTalkError("The audio encoder gave values that are not finite; the sound or the checkpoint is damaged.")
    audio, log_posteriors, prosody, kinds, colour = arrays
    pitch, voiced, hertz = contour(voices)
    prosody = np.column_stack([prosody, pitch.astype(np.float16), colour[:, 1]])
    lead, at = onset.lead / SAMPLE_RATE, onset.at / SAMPLE_RATE
    return Heard(audio, log_posteriors, prosody, voiced, kinds, colour, hertz, rate, lead, at)


def _kinds(mel: np.ndarray, log_posteriors: np.ndarray, rate: float) -> np.ndarray:
    """(n, KINDS) of the frames that `log_posteriors` (n, phones) at `rate` Hz has; `mel` begins with them."""
    if rate != RATE or log_posteriors.shape[1] != len(PHONES):  # of a model of other makers
        return np.eye(len(KINDS), dtype=np.float32)[np.full(len(log_posteriors), KINDS.index(WORDS))]
    return shipped_kinds()(mel, log_posteriors)


def acquire_keys(
    backend: Backend,
    audio: np.ndarray,
    rate: float,
    alignment: Alignment,
    instants: KeyInstants,
    begin: float = 0.0,
    onset: float | None = None,
) -> KeyMotions:
    """LKMA, eq. (1): A (N, d) at `rate` Hz and the key instants → key motions K.

    A begins at `begin` s of the instants' time; `onset` as for `pieces`.
    """
    phones, timing = phone_context(alignment, instants)
    out: np.ndarray | None = None
    for piece in pieces(instants.times, onset):
        here = slice(piece.first, piece.last)
        keys = backend.key_motions(
            at_times(audio, rate, instants.times[here] - begin),
            phones[here],
            timing[here],
            instants.times[here] - piece.start,
        )
        if out is None:
            out = np.zeros((len(instants.times), keys.shape[1]), np.float32)
        piece.add(out, keys)
    assert out is not None
    return KeyMotions(instants.times, np.clip(out, 0.0, 1.0))


def complete_motion(
    backend: Completer,
    audio: np.ndarray,
    rate: float,
    keys: KeyMotions,
    times: np.ndarray,
    progress: Share = lambda share: None,
    zeros: Callable[[tuple[int, ...]], np.ndarray] = lambda shape: np.zeros(shape, np.float32),
    begin: float = 0.0,
    onset: float | None = None,
) -> np.ndarray:
    """CMC, eq. (3): A (N, d) at `rate` Hz and key motions → motion (T, C) at `times` (T,) s, in any order.

    `zeros` makes the array that the motion is put together in; A begins at `begin` s; `onset` as for `pieces`.
    """
    # One ascending sequence of all instants, in which key instants are marked.
    everywhere, back = np.unique(np.concatenate([times, keys.times]), return_inverse=True)
    key_of = np.full(len(everywhere), -1, np.int64)
    key_of[back[len(times) :]] = np.arange(len(keys.times))
    out = zeros((len(everywhere), keys.controls.shape[1]))

    def moved(piece: Piece) -> tuple[Piece, np.ndarray]:
        here = slice(piece.first, piece.last)
        # Keys of the piece, and the nearest one beyond each end, so that every frame lies between two keys.
        first = max(int(np.searchsorted(keys.times, everywhere[piece.first])) - 1, 0)
        last = min(int(np.searchsorted(keys.times, everywhere[piece.last - 1], side="right")) + 1, len(keys.times))
        chosen = key_of[here] - first
        return piece, backend.complete(
            at_times(audio, rate, everywhere[here] - begin),
            keys.controls[first:last],
            keys.times[first:last] - piece.start,
            everywhere[here] - piece.start,
            np.where(key_of[here] >= 0, chosen, -1),
        )

    for piece, motion in in_order(moved, pieces(everywhere, onset)):
        piece.add(out, motion)
        progress(piece.last / len(everywhere))
    wanted = back[: len(times)]
    return out if np.array_equal(wanted, np.arange(len(everywhere))) else out[wanted]


def at_times(sequence: np.ndarray, rate: float, times: np.ndarray) -> np.ndarray:
    """Linear interpolation of a (N, d) sequence at `rate` Hz to (M,) times in s: (M, d) float32."""
    position = np.clip(times * rate, 0, len(sequence) - 1)
    below = np.minimum(position.astype(np.int64), max(len(sequence) - 2, 0))
    fraction = (position - below)[:, None].astype(np.float32)
    above = np.minimum(below + 1, len(sequence) - 1)
    return sequence[below].astype(np.float32) * (1 - fraction) + sequence[above].astype(np.float32) * fraction


@dataclass(frozen=True)
class Piece:
    """Indices `first`…`last` of a sequence, from `start` s, and each index's share of the result (sums to 1)."""

    first: int
    last: int
    start: float
    weights: np.ndarray

    def add(self, whole: np.ndarray, part: np.ndarray) -> None:
        whole[self.first : self.last] += (part * self.weights[:, None]).astype(whole.dtype)


def pieces(times: np.ndarray, onset: float | None = None) -> Iterator[Piece]:
    """Cut ascending `times` (N,) s into overlapping pieces whose weights fade into each other.

    The first piece begins with the first of `times`; or BEFORE s ahead of `onset` (s), where speech begins. Then the
    pieces of speech do not depend on the silence before it, which has pieces of its own where it is longer.
    """
    first = float(times[0])
    for start, end, fade_in, fade_out in _spans(first, float(times[-1]), first if onset is None else onset - BEFORE):
        here = slice(int(np.searchsorted(times, start)), int(np.searchsorted(times, end)))
        if here.start == here.stop:
            continue
        weights = np.ones(here.stop - here.start)
        if fade_in:
            weights *= np.clip((times[here] - start) / fade_in, 0, 1)
        if fade_out:
            weights *= np.clip((end - times[here]) / fade_out, 0, 1)
        yield Piece(here.start, here.stop, start, weights.astype(np.float32))


def _spans(first: float, last: float, begin: float) -> Iterator[tuple[float, float, float, float]]:
    """Start, end, fade in and fade out, in s, of each piece of `first`…`last` s; one of them starts at `begin`."""
    silent: list[tuple[float, float, float, float]] = []
    edge = begin
    while edge > first:
        start = max(edge - PIECE + BEFORE, first)
        silent.append((start, edge + BEFORE, BEFORE if start > first else 0.0, BEFORE))
        edge = start
    yield from reversed(silent)
    hop = PIECE - OVERLAP
    count = max(int(np.ceil((last - begin - OVERLAP) / hop)), 1)
    for number in range(count):
        start = begin + number * hop
        fade_in = OVERLAP if number else BEFORE if silent else 0.0
        final = number == count - 1
        yield start, np.inf if final else start + PIECE, fade_in, 0.0 if final else OVERLAP
