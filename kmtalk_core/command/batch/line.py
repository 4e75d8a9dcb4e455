"""One line of a batch: what is said, by whom, and what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ...settings import Settings, settings_of

FILES = ("audio", "transcript_file", "alignment", "corrections", "mesh", "template")  # fields that name files
OF_FILES = tuple(setting for setting in settings_of(Settings) if setting.ending)  # settings that may name a file
TOLD = ("line", "character", "scene", "version", "profile")  # fields that the report has, and that change no result


@dataclass(frozen=True, kw_only=True)
class Line(Settings):
    """One line of a manifest: files, what it is called, and all settings of its result.

    `start` (s from its beginning) and `duration` (s, None: to its end): the part of the sound that is heard; times of
    other files count from the sound's beginning all the same; `as_strip`: as a sound strip of Blender plays it (see
    audio.load_sound). `out`: a name in the output folder, which ends in .npz; `target`: a family of shapes, or the file
    of a mapping, whose curves it has too; `formats`: endings of further files to export beside it; `template`: a .blend
    with the heads that Blender shows the line on; `line` (a number or
    name of one's own), `character`, `scene`, `version` and `own` (columns of one's own, name and text) go into the
    report; `where`: the row, for messages; `remote`: fields whose files lie in a store, with their addresses.
    """

    audio: Path
    start: float = 0.0
    duration: float | None = None
    as_strip: bool = False
    out: str = ""
    transcript: str | None = None
    transcript_file: Path | None = None
    alignment: Path | None = None
    alignment_fps: float | None = None
    corrections: Path | None = None
    mesh: Path | None = None
    template: Path | None = None
    target: str = ""
    vertices: bool = False
    formats: tuple[str, ...] = ()
    line: str = ""
    character: str = ""
    scene: str = ""
    version: str = ""
    profile: str = ""
    own: tuple[tuple[str, str], ...] = ()
    where: str = ""
    remote: tuple[tuple[str, str], ...] = ()

    @property
    def is_part(self) -> bool:
        """Whether it hears its sound otherwise than as the whole file."""
        return (self.start, self.duration, self.as_strip) != (0.0, None, False)

    @property
    def files(self) -> dict[str, Path]:
        """The files that the line names, by field; settings may name some, too."""
        named = {name: path for name in FILES if (path := getattr(self, name)) is not None}
        if self.target.lower().endswith(".json"):
            named["target"] = Path(self.target)
        return named | {s.name: Path(value) for s in OF_FILES if s.names_file(value := getattr(self, s.name))}

    def absolute(self) -> Line:
        """The same line, whatever the working folder is."""
        found = {name: path.absolute() for name, path in self.files.items()}
        return replace(self, **{name: path if name in FILES else str(path) for name, path in found.items()})  # type: ignore[arg-type]

    @property
    def local_files(self) -> dict[str, Path]:
        """Of `files` those that lie in no store."""
        away = {name for name, _ in self.remote}
        return {name: path for name, path in self.files.items() if name not in away}

    @property
    def sound(self) -> str:
        """Where the sound comes from, for reports."""
        return dict(self.remote).get("audio", str(self.audio))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all files that it makes in the output folder, the result first."""
        return (self.out, *(f"{self.out.removesuffix('.npz')}{ending}" for ending in self.formats))
