"""What works on this machine, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import KMTalkError


@dataclass(frozen=True)
class Finding:
    """One part: whether it works, its version or state, the remedy where it does not work, and where it was found."""

    part: str
    works: bool
    state: str
    remedy: str = ""
    optional: bool = False
    where: str = ""


# Distribution, module, what it is for, whether KMTalk works without it.
PACKAGES = (
    ("numpy", "numpy", "arrays", False),
    ("scipy", "scipy", "the articulation rig", False),
    ("av", "av", "reading sound and video files", False),
    ("onnxruntime", "onnxruntime", "the embedded model", False),
    ("pocketsphinx", "pocketsphinx", "--localizer pocketsphinx; the default does not need it", True),
    ("torch", "torch", "GPU inference, other checkpoints and training", True),
    ("bpy", "bpy", "Blender without its window; the demo", True),
)
PYTHON = (3, 11)  # the oldest that KMTalk supports


def examine() -> list[Finding]:
    """Look at Python, the packages, the tools and the weights."""
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    findings = [
        Finding("kmtalk", True, __version__, where=str(Path(__file__).parent)),
        Finding("Python", sys.version_info >= PYTHON, version, "install Python 3.11 or newer", where=sys.executable),
    ]
    findings += [package(*row) for row in PACKAGES]
    findings.append(checked("model", "the shipped weights", model_state))
    findings.append(checked("transcripts", "finding words and phones", transcripts_state))
    findings.append(hearing_finding())
    findings.append(checked("laughs, breaths", "sounds that are no words", sounds_state))
    findings += [espeak_finding(), whisper_finding(), mfa_finding()]
    if findings_by_part(findings)["torch"].works:
        findings.append(checked("torch device", "GPU inference", torch_device, optional=True))
    return findings


def hearing_finding() -> Finding:
    """The recogniser that comes along, which hears the words where no text is given."""
    from ..hearing.recogniser import is_shipped, shipped

    if not is_shipped():
        lacking = "not in this build, so phones are found from the sound alone where no text is given"
        return Finding("hearing", False, lacking, "install a complete build, or give texts", optional=True)
    try:
        recogniser = shipped()
    except KMTalkError as error:
        return Finding("hearing", False, "does not work; for words where no text is given", str(error), optional=True)
    state = f"{recogniser.name}, {len(recogniser.languages)} languages; where no text is given"
    return Finding("hearing", True, state, optional=True)


def whisper_finding() -> Finding:
    """Where the user's own Whisper is; larger models hear more than the recogniser that comes along."""
    from ..localization.installed import find_recognisers
    from ..localization.tools import Tools

    try:
        found = find_recognisers(Tools.from_environment())
    except KMTalkError as error:
        return Finding("whisper", False, "missing; for --localizer whisper and whisper-mfa", str(error), optional=True)
    listed = ", ".join(f"{r.engine} {r.version} in {r.python}" for r in found)
    return Finding("whisper", True, f"{listed}; use it with --localizer whisper", optional=True)


def mfa_finding() -> Finding:
    """Where the Montreal Forced Aligner is, its version and its models."""
    from ..localization.installed import find_mfa, mfa_models
    from ..localization.tools import Tools

    tools = Tools.from_environment()
    try:
        mfa = find_mfa(tools)
    except KMTalkError as error:
        return Finding("mfa", False, "missing; for --localizer whisper-mfa", str(error), optional=True)
    state = f"{mfa.label}, {mfa.program}"
    for kind, name in (("dictionary", tools.mfa_dictionary), ("acoustic", tools.mfa_acoustic)):
        if name not in mfa_models(kind) and not Path(name).expanduser().exists():
            return Finding("mfa", False, f"{state}, without {name}", f"mfa model download {kind} {name}", optional=True)
    return Finding("mfa", True, f"{state}, with {tools.mfa_acoustic}", optional=True)


def espeak_finding() -> Finding:
    """Where espeak-ng is, which knows how the words of other languages are pronounced."""
    from ..localization.espeak import where

    try:
        return Finding("espeak-ng", True, f"{where()}; for transcripts in other languages", optional=True)
    except KMTalkError as error:
        return Finding("espeak-ng", False, "missing; for transcripts in other languages", str(error), optional=True)


def package(distribution: str, module: str, purpose: str, optional: bool) -> Finding:
    """Tell whether a package is installed, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return Finding(distribution, False, f"missing; for {purpose}", f"pip install {distribution}", optional)
    where = str(Path(spec.origin).parent) if spec.origin and spec.has_location else ""
    try:
        return Finding(distribution, True, importlib.metadata.version(distribution), "", optional, where)
    except importlib.metadata.PackageNotFoundError:
        return Finding(distribution, True, "installed", "", optional, where)


def checked(part: str, purpose: str, state: Callable[[], str], optional: bool = False) -> Finding:
    """Run a check that says what it found or raises."""
    try:
        return Finding(part, True, state(), optional=optional)
    except KMTalkError as error:
        return Finding(part, False, f"does not work; for {purpose}", str(error), optional)
    except Exception as error:
        return Finding(part, False, f"does not work ({error}); for {purpose}", "install KMTalk again", optional)


def model_state() -> str:
    """Run the shipped model on a moment of silence."""
    import numpy as np

    from ..animator import Animator, Request
    from ..audio import SAMPLE_RATE, Sound

    sound = Sound(np.zeros(SAMPLE_RATE // 2, np.float32), "", "")
    return Animator().animate(sound, Request(localizer="uniform")).model


def transcripts_state() -> str:
    """Align the sample speech, which needs no other tool."""
    from ..animator import Animator, Request
    from ..assets import ASSETS
    from ..audio import load_sound

    sound = load_sound(ASSETS / "sample_speech.flac", duration=2.0)
    found = Animator().align(sound, Request(transcript="Hello! My mouth moves by itself now."))
    if not found.words:
        raise KMTalkError("The sample speech was not found in its own sound; install KMTalk again.")
    return (
        "aligned by the model itself; English" if found.source == "posterior-forced" else f"aligned by {found.source}"
    )


def sounds_state() -> str:
    """Load the networks that know laughs and breaths, and who is near among voices."""
    from ..near_voice import shipped_near_voice
    from ..sound_kinds import KINDS, shipped_kinds

    shipped_kinds()
    shipped_near_voice()
    return f"known from words: {', '.join(KINDS[2:])}"


def torch_device() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple GPU (MPS)" if torch.backends.mps.is_available() else "CPU only"


def findings_by_part(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.part: finding for finding in findings}


def format_report(findings: list[Finding]) -> str:
    """Lay the findings out as lines: mark, part, state, place, and below what is missing the remedy."""
    lines = []
    for finding in findings:
        mark = "ok" if finding.works else "-" if finding.optional else "MISSING"
        where = f"  [{finding.where}]" if finding.where else ""
        lines.append(f"{mark:8}{finding.part:18}{finding.state}{where}")
        if not finding.works:
            lines.append(f"{'':26}{finding.remedy}")
    missing = [finding.part for finding in findings if not finding.works and not finding.optional]
    lines.append(f"\nNeeded and missing: {', '.join(missing)}." if missing else "\nEverything that KMTalk needs works.")
    return "\n".join(lines)
