"""The façade: sound → phones → key instants → key motions → completed motion. Each arrow is one function.

Numpy in, numpy out; the networks run through a backend that is loaded once and kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from .audio import SAMPLE_RATE, Sound
from .checkpoint import Checkpoint, load_checkpoint
from .checks import STRONG
from .completion import complete_through, recomplete
from .ears import ears_for
from .easing import smoothly
from .emotion import Emotion, guess, measured
from .errors import InputError, KMTalkError
from .features import MEL_RATE
from .finish.compose import free_keys, freely_moving, with_contacts
from .finish.contacts import seal_lips
from .finish.density import choose_keys, rekeyed
from .finish.narrowing import narrow_keys
from .finish.splice import spliced
from .localization import localize
from .localization.keys import key_instants
from .localization.unheard import PHONELESS, unheard_voice
from .localization.vocal import quieted, says_words, trusted, with_sounds
from .memory import LONG, give_back
from .motion import Animation, KeyMotions, Unfinished, frame_times
from .origin import origin_of
from .packed import Preceded
from .phones import Alignment
from .progress import Progress, section, silent_progress
from .request import Request
from .rig.controls import ALL_CONTROLS, SPEECH_CONTROLS
from .runtime.guarded import Guarded
from .runtime.inference import Backend, Heard, acquire_keys, complete_motion, hear
from .runtime.remembering import Remembering
from .settings import BACKENDS
from .styles import Style, style_named

if TYPE_CHECKING:
    from .localization.heard import Hear

MOTION_RATE = 25.0  # Hz at which speech motion is posed and completed, before it is put on frames
COMPLETING = "completing the motion"
MIN_RATE = 5.0  # Hz of features
UNUSABLE = "This checkpoint does not hold what its networks need; export it again."
CONTEXT = 3.0  # s of key motions around an edit that re-completion looks at


class Animator:
    """Holds one loaded checkpoint in control space; `animate` and `complete` may be called any number of times.

    `opening.open_animator` chooses it, or `vertex_animator.VertexAnimator`, by the checkpoint.
    """

    def __init__(self, checkpoint: str | os.PathLike[str] | None = None, backend: str = "auto") -> None:
        self._checkpoint = load_checkpoint(checkpoint)
        if "method" in self._checkpoint.config:
            raise InputError("This checkpoint moves vertices; open it with kmtalk_core.opening.open_animator.")
        try:
            self._rate = float(self._checkpoint.config["dimensions"]["feature_rate"])
            controls = tuple(self._checkpoint.config["controls"])
        except (KeyError, TypeError, ValueError):
            raise InputError(UNUSABLE) from None
        if not MIN_RATE <= self._rate <= MEL_RATE:
            raise InputError(UNUSABLE)
        if controls != SPEECH_CONTROLS:
            raise InputError("This checkpoint drives other controls than this version of KMTalk; train it again.")
        self._backend = Guarded(_load_backend(backend, self._checkpoint))
        self._completer = Remembering(self._backend)

    @property
    def model(self) -> str:
        """The model's name and checksum, as OUT.npz records it."""
        return self._checkpoint.name

    def align(self, sound: Sound, request: Request | None = None, progress: Progress = silent_progress) -> Alignment:
        """Sound → phones and words with times."""
        request = request or Request()
        ears = ears_for(sound, request)
        heard = self._hear(sound, _part(progress, 0.0, 0.5, "listening"))
        return _aligned(sound, request, heard, ears, section(progress, 0.5, 1.0))

    def animate(self, sound: Sound, request: Request | None = None, progress: Progress = silent_progress) -> Animation:
        """Sound → key motions and completed motion at `request.fps`, starting at the sound's first sample."""
        request = request or Request()
        return self._animate(sound, request, style_named(request.style), progress)

    def _animate(self, sound: Sound, request: Request, style: Style, progress: Progress) -> Animation:
        """As `animate`, in `style`, whatever that of the request is."""
        ears = ears_for(sound, request)
        heard = self._hear(sound, _part(progress, 0.0, 0.3, "listening"))
        alignment = _aligned(sound, request, heard, ears, section(progress, 0.3, 0.7))
        told = dict.fromkeys((*alignment.warnings, *style.warnings(self.model)))
        alignment = replace(alignment, warnings=tuple(told))
        times = frame_times(alignment.duration, request.fps)
        rule = "apexes" if request.key_rule == "auto" else request.key_rule
        progress(0.7, "posing key motions")
        speech = self._spoken(heard, alignment, rule, times, _part(progress, 0.75, 1.0, COMPLETING))
        _let_wait(heard, sound)
        instants = key_instants(alignment, rule, request.fps)
        unposed = KeyMotions(instants.times, np.zeros((len(instants.times), len(ALL_CONTROLS)), np.float32))
        keys = unposed.later(round(request.offset * request.fps), request.fps)
        still, none_edited = np.zeros((len(times), len(ALL_CONTROLS)), np.float32), np.zeros(len(keys.times), bool)
        bare = Animation(
            fps=request.fps,
            times=times,
            control_names=ALL_CONTROLS,
            controls=still,
            keys=keys,
            alignment=alignment,
            audio_sha256=sound.sha256,
            model=self.model,
            features=heard.audio,
            feature_rate=heard.rate,
            feature_lead=heard.lead,
            unfinished=Unfinished(speech, still, none_edited, heard.prosody),
            sliders=request.sliders,
            layers=request.layers,
            lip_line=request.lip_line,
            style=style,
            origin=origin_of(request),
            emotion=_emotion(heard, alignment) if request.emotion_guess == "on" else None,
        )
        free = freely_moving(bare, request.sliders, request.layers)
        progress(1.0, "done")
        posed = with_contacts(bare, free, keys, none_edited)
        posed = rekeyed(posed, choose_keys(posed, request.key_density, rule))
        _let_wait(heard, sound)
        return posed

    def complete(self, animation: Animation, keys: KeyMotions, progress: Progress = silent_progress) -> Animation:
        """Re-run completion with edited `keys` (m', C) over the same controls.

        The keys come back exactly. Only the spans next to keys that are not as generated (changed, moved, added and
        deleted ones) differ from the generated motion (`completion.edited_spans` says how far), which `animation`
        carries: the order of edits does not matter, and a key that is put back brings its motion back, bit for bit.
        Raises InputError if the animation is another model's.
        """
        if animation.model != self.model:
            raise InputError(
                f"This result was made by {animation.model}, but {self.model} is loaded; "
                "generate it again or choose the checkpoint that made it."
            )
        if keys.controls.shape[1] != len(animation.control_names):
            raise InputError(
                f"The edited keys have {keys.controls.shape[1]} controls, the result {len(animation.control_names)}."
            )
        if not len(keys.times):
            raise InputError("All key motions are gone; keep at least one, or generate again.")
        keys.check_near(animation.alignment.duration)
        if (most := np.abs(keys.controls).max(initial=0.0)) > STRONG:
            raise InputError(f"A key motion holds the value {most:g}; controls are 0 to 1.")
        if not set(SPEECH_CONTROLS) <= set(animation.control_names):
            raise InputError("This result lacks controls that the model moves; generate it again.")
        column = {name: index for index, name in enumerate(animation.control_names)}
        speech = np.array([column[name] for name in SPEECH_CONTROLS])

        def complete(some: KeyMotions, at: np.ndarray) -> np.ndarray:
            # The networks move the speech controls; all others go smoothly from key to key.
            lead = animation.feature_lead
            spoken = KeyMotions(some.times + lead, some.controls[:, speech])
            out = np.zeros((len(at), some.controls.shape[1]), np.float32)
            moved = complete_motion(self._completer, animation.features, animation.feature_rate, spoken, at + lead)
            out[:, speech] = moved
            return out

        progress(0.0, COMPLETING)
        if animation.unfinished is None:
            controls = recomplete(animation.times, animation.controls, animation.keys, keys, complete, CONTEXT)
            progress(1.0, "done")
            return replace(animation, controls=controls.astype(np.float32), keys=keys, vertices=None, faces=None)
        # Completion moves freely between the keys; unedited ones count as they were before contacts were held.
        before, after, edited = free_keys(animation, keys)
        generated = animation.generated
        free = recomplete(animation.times, generated.free, before, after, complete, CONTEXT).astype(np.float32)
        as_generated = not edited.any() and len(after.times) == len(before.times)
        unfinished = replace(animation.unfinished, generated=None if as_generated else generated)
        progress(1.0, "done")
        wanted = KeyMotions(after.times, keys.controls)
        return with_contacts(replace(animation, unfinished=unfinished), free, wanted, edited)

    def correct(
        self, animation: Animation, sound: Sound, request: Request, progress: Progress = silent_progress
    ) -> Animation:
        """Apply `request.corrections` to a result of the same `sound`: only what is near them is made anew.

        Of the request its language, key rule and key density count too; all else is as in the result, whose edited keys
        stay. Raises InputError if the result is another model's, or was made without what finishing needs.
        """
        _ = animation.to_finish  # raises InputError
        wish = replace(
            request,
            alignment=animation.alignment,
            fps=animation.fps,
            lip_line=animation.lip_line,
            **{f.name: getattr(animation.sliders, f.name) for f in fields(animation.sliders)},
            **{f.name: getattr(animation.layers, f.name) for f in fields(animation.layers)},
        )
        fresh = self._animate(sound, wish, animation.style, section(progress, 0.0, 0.9))
        origin = animation.origin and animation.origin.corrected(request.corrections)
        result, keys = spliced(replace(animation, origin=origin), fresh)
        return result if keys is result.keys else self.complete(result, keys, section(progress, 0.9, 1.0))

    def _hear(self, sound: Sound, progress: Callable[[float], None]) -> Heard:
        heard = hear(self._backend, sound.stored, self._rate, progress)
        _let_wait(heard, sound)
        return heard

    def _spoken(
        self,
        heard: Heard,
        alignment: Alignment,
        rule: str,
        times: np.ndarray,
        tell: Callable[[float], None],
    ) -> np.ndarray:
        """The completed speech motion (T, S) float32, 0…1, at `times` (T,) s.

        Posed and completed at a rate of its own, in frames that lie as the speech does, so that neither the frame rate
        nor where the sound begins changes it.
        """
        wait = -heard.onset % (1 / MOTION_RATE)  # so that one of these frames is where speech begins
        onset, lead = heard.onset + wait, heard.lead + wait
        alignment = alignment.later(lead)
        instants = key_instants(alignment, rule, MOTION_RATE)
        spoken = acquire_keys(self._backend, heard.audio, heard.rate, alignment, instants, wait, onset)
        spoken = seal_lips(narrow_keys(spoken, alignment, instants), alignment, instants)

        def complete(keys: KeyMotions, at: np.ndarray) -> np.ndarray:
            return complete_motion(self._backend, heard.audio, heard.rate, keys, at, tell, begin=wait, onset=onset)

        motion = complete_through(spoken, frame_times(alignment.duration, MOTION_RATE), complete)
        return np.clip(smoothly(motion, (times + lead) * MOTION_RATE), 0.0, 1.0).astype(np.float32)


def _let_wait(heard: Heard, sound: Sound) -> None:
    """Keep what a long sound was heard as out of memory for a while."""
    if sound.duration > LONG:
        give_back(heard.audio)


def _aligned(
    sound: Sound, request: Request, heard: Heard, ears: Callable[[], Hear | None], progress: Progress
) -> Alignment:
    """What was said, and a warning where something was heard that it lacks."""
    kinds = trusted(heard.kinds, heard.timbre[:, 0])
    spoken = quieted(heard.phone_log_posteriors.astype(np.float32), heard.kinds, heard.timbre[:, 0], heard.rate)
    if request.alignment is not None:
        from .localization.within_words import placed

        found = placed(request.alignment, sound.duration, lambda: (heard.posteriors_from_start(), heard.rate))
        found = replace(found, heard=request.alignment.heard)
    else:
        # Found among the very frames that were heard, so that silence before the sound changes nothing.
        led = replace(sound, stored=Preceded(round(heard.lead * SAMPLE_RATE), sound.stored))
        found = localize(
            led,
            request.transcript,
            request.localizer,
            lambda _: (spoken, heard.rate),
            progress,
            language=request.language,
            tools=request.tools,
            hear=ears,
        )
        if found.source not in PHONELESS:
            found = with_sounds(found, kinds, heard.rate)
        found = replace(found.from_time(heard.lead), duration=sound.duration)
    if request.alignment is None or not request.corrections:  # what was corrected may be silent by intention
        in_heard_time = found.later(heard.lead)
        told = unheard_voice(in_heard_time, spoken, heard.voiced & says_words(heard.kinds), heard.rate)
        found = replace(found, warnings=tuple(dict.fromkeys((*found.warnings, *told))))
    if not request.corrections:
        return found
    from .localization.corrections import corrected

    language = found.heard.language if found.heard is not None else request.language
    return corrected(found, request.corrections, heard.posteriors_from_start(), heard.rate, language)


def _emotion(heard: Heard, alignment: Alignment) -> Emotion | None:
    """How it seems to be spoken."""
    voice = heard.phone_log_posteriors, heard.prosody, heard.voiced, heard.timbre, heard.pitch, heard.rate
    return guess(measured(*voice), alignment.words)


def _load_backend(name: str, checkpoint: Checkpoint) -> Backend:
    if name not in BACKENDS:
        raise InputError(f"There is no backend {name!r}; choose {', '.join(BACKENDS)}.")
    kind = _torch_backend() if name == "torch" else _onnx_backend()
    try:
        return kind(checkpoint)
    except (KMTalkError, MemoryError, OSError):
        raise
    except Exception as error:  # runtimes have exceptions of their own
        said = str(error).strip().partition("\n")[0][:120]
        raise InputError(f"{UNUSABLE} ({said})") from None


def _torch_backend() -> Callable[[Checkpoint], Backend]:
    try:
        from .runtime.torch_backend import TorchBackend
    except ImportError:
        raise KMTalkError("The torch backend needs torch; install it, or use --backend onnx.") from None
    return TorchBackend


def _onnx_backend() -> Callable[[Checkpoint], Backend]:
    try:
        from .runtime.onnx_backend import OnnxBackend
    except ImportError:
        raise KMTalkError("onnxruntime is missing or does not load here; install it with pip.") from None
    return OnnxBackend


def _part(progress: Progress, begin: float, end: float, doing: str) -> Callable[[float], None]:
    return lambda share: progress(begin + (end - begin) * share, doing)
