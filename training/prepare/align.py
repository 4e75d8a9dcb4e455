"""Localization in advance: the phones of every clip, kept as TextGrids that can be looked at in Praat."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from kmtalk_core.animator import Animator, Request
from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole
from kmtalk_core.localization.textgrid import load_alignment, save_alignment
from training.captured.dataset import CapturedClip, DataSet

IMPORTED = "imported"  # alignments that the source brings, in SOURCE/alignments


def align_clips(
    clips: Iterable[CapturedClip],
    source: Path,
    folder: Path,
    localizer: str,
    label: str,
    progress: Callable[[str], None],
) -> list[str]:
    """Write folder/alignments/LABEL/CLIP.TextGrid for clips that have none yet; → warnings, one sentence each.

    `localizer`: one of kmtalk_core's, or "imported". Interrupted work goes on where it stopped.
    """
    target = folder / "alignments" / label
    target.mkdir(parents=True, exist_ok=True)
    animator: Animator | None = None
    warnings = []
    for clip in clips:
        path = target / f"{clip.name}.TextGrid"
        progress(clip.name)
        if path.exists():
            continue
        if localizer == IMPORTED:
            given = source / "alignments" / f"{clip.name}.TextGrid"
            if not given.is_file():
                raise InputError(f"There is no alignment {given}; add it, or choose another --localizer.")
            load_alignment(given)
            shutil.copyfile(given, path)
            continue
        animator = animator or Animator()
        sound = load_sound(source / "wav" / f"{clip.name}.wav")
        alignment = animator.align(sound, Request(transcript=clip.text or None, localizer=localizer))
        warnings += [f"{clip.name}: {warning}" for warning in alignment.warnings]
        save_alignment(alignment, path)
    return warnings


def add_alignments(data: DataSet, localizer: str, label: str, progress: Callable[[str], None]) -> list[str]:
    """Alignments of all clips by another localizer, known to the data set as `label` when all are there; → warnings."""
    warnings = align_clips(data.clips.values(), data.source, data.folder, localizer, label, progress)
    if label not in data.localizations:
        path = data.folder / "dataset.json"
        about = json.loads(path.read_text(encoding="utf-8"))
        about["localizations"].append(label)
        with written_whole(path) as partial:
            partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return warnings
