"""Lines for Whisper and MFA, aligned together: these tools take long to start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ...errors import Cancelled, KMTalkError
from .line import Line
from .report import Report

if TYPE_CHECKING:
    from ...audio import Sound
    from ...phones import Alignment


def align_together(
    waiting: Sequence[tuple[int, Line]], progress: Callable[[float, str], None]
) -> tuple[dict[int, Alignment], dict[int, Report]]:
    """Lines for whisper-mfa by one run of each tool, which take long to start: alignments, and what failed."""
    chosen = [(index, line) for index, line in waiting if line.localizer == "whisper-mfa" and not line.alignment]
    if not chosen:
        return {}, {}
    from ...localization.whisper_mfa import localize_many
    from .hearing import sound_of, text_of
    from .stores import bring

    failed: dict[int, Report] = {}
    ready: dict[int, tuple[Callable[[], Sound], str | None]] = {}
    for index, line in chosen:
        try:
            bring(line)
            sound = sound_of(line)
            if not sound.is_silent:  # silence needs no aligner
                ready[index] = (partial(sound_of, line), text_of(line, sound))
        except KMTalkError as error:
            failed[index] = Report.of_line(line, "failed", error=str(error))
    if not ready:
        return {}, failed
    lines = dict(chosen)
    found: dict[int, Alignment | KMTalkError] = {}
    for language in dict.fromkeys(lines[index].language for index in ready):
        group = [index for index in ready if lines[index].language == language]
        try:
            together = localize_many(
                [ready[index] for index in group], lambda share, doing: progress(0.0, doing), language
            )
        except Cancelled:
            raise
        except KMTalkError as error:
            together = [error] * len(group)
        found |= dict(zip(group, together, strict=True))
    aligned: dict[int, Alignment] = {}
    for index, alignment in found.items():
        if isinstance(alignment, KMTalkError):
            line = lines[index]
            failed[index] = Report.of_line(line, "failed", error=str(alignment))
        else:
            aligned[index] = alignment
    return aligned, failed
