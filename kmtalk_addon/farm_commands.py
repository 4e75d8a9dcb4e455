"""The way of a file's lines to `kmtalk batch` and back: `manifest` lists its sound strips, `apply` takes results in.

Each row says exactly what its strip plays, so that a result is what *Generate Lip Sync* would make here. Rows that name
no strip, of any manifest or report, bring their sounds along: `apply` places them in the file.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from kmtalk_core.errors import InputError, KMTalkError

from . import casting, compat, corrections, lipsync, live, scenes, shape_keys, strip, takes
from .casting import Part
from .command_tools import check_blend, save, wishes, work
from .lipsync import Made, Options
from .strip import Played

if TYPE_CHECKING:
    from kmtalk_core.command.batch.sources import Record
    from kmtalk_core.command.display import Display

FILES = "_files"  # the folder beside a manifest: its name without ending, and this
FIRST = ("out", "audio", "scene", "character", "strip", "transcript", "start", "duration", "as_strip", "fps")


def add_manifest_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `manifest`."""
    sub.add_argument("--scene", metavar="NAME", help="only this scene (all with sound strips)")
    sub.add_argument("--table", type=Path, metavar="F", help="columns strip (or channel) and head: who says what")
    sub.add_argument("--out", type=Path, required=True, metavar="F.(csv|json)", help="the manifest for `kmtalk batch`")


def add_apply_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `apply`, without where to save the file."""
    sub.add_argument(
        "manifest", type=Path, metavar="MANIFEST", help="as `manifest` wrote it, or report.json: sounds are placed then"
    )
    sub.add_argument("results", type=Path, metavar="DIR", help="the output folder of `kmtalk batch`")


def manifest(options: argparse.Namespace, progress: Display) -> int:
    """Write a row for each line of the file; what is left out is told."""
    from kmtalk_core.command.cli import check_output

    check_output(options.out, ".csv", ".json")
    table = casting.read_table(options.table) if options.table is not None else None
    rows, told = [], []
    names: set[str] = set()
    for scene in _scenes(options.scene):
        for part in casting.cast(scene, table):
            try:
                rows.append(_row(scene, part, options.out, names))
            except KMTalkError as error:
                told.append(f"{part.strip.name} of {scene.name}: {error}")
    progress.warnings(told)
    if not rows:
        raise InputError("There is no line in the file; see the warnings, or add sound strips and heads.")
    _write(options.out, rows)
    progress.done(options.out, f"{len(rows)} lines, {len(told)} left out")
    return 0


def apply(options: argparse.Namespace, progress: Display) -> int:
    """Put the results of a batch on the faces; what cannot be is told, and the exit status is 1 then."""
    from kmtalk_core.command.batch.sources import read_records

    check_blend(options.out)
    outcomes: list[scenes.LineOutcome] = []
    found: dict[str, dict[str, Record]] = {}
    for record in read_records(options.manifest):
        found.setdefault(record.cells.get("scene", ""), {})[record.where] = record
    for place, (name, records) in enumerate(found.items()):
        part = progress.span(0.95 * place / len(found), 0.95 * (place + 1) / len(found))
        outcomes += _apply_to(name, list(records.values()), options, part)
    outcome = scenes.SceneOutcome(tuple(outcomes))
    for line in outcome.failed:
        progress.warning(f"{line.strip}{f' on {line.head}' if line.head else ''}: {line.told}")
    made = outcome.of(scenes.DONE, scenes.SAME)
    if not made:
        raise KMTalkError("No result could be applied, so nothing was saved; see the warnings.")
    for scene in bpy.data.scenes:
        live.bring_up_to_date(scene)  # with the sliders that the strips have
    save(options.out, outcome.summary, tuple(told for line in made for told in line.warnings), progress)
    return 1 if outcome.failed else 0


def _scenes(name: str | None) -> Iterator[bpy.types.Scene]:
    if name is not None and name not in bpy.data.scenes:
        raise InputError(f"There is no scene {name} in the file.")
    for scene in bpy.data.scenes:
        if name in (None, scene.name):
            yield scene


def _row(scene: bpy.types.Scene, part: Part, out: Path, names: set[str]) -> dict[str, Any]:
    """What a strip plays and its head wants, column by column; raises KMTalkError for one that is left out."""
    from kmtalk_core.settings import LineSettings, settings_of

    line, head = part.strip, part.head
    if head is None:
        raise InputError(part.why)
    strip.check_heard(scene, line)
    played, wish = strip.read_line(scene, line), wishes(argparse.Namespace(), line)
    name = _free_name(f"{_file_name(scene.name)}/{_file_name(head.name)}/{_file_name(line.name)}", names)
    fps = played.frames_per_second_of_sound
    row: dict[str, Any] = {
        "out": name, "audio": _sound(line, out, name), "scene": scene.name, "character": head.name, "strip": line.name,
        "strip_id": line.kmtalk.id, "channel": line.channel, "first_frame": played.first_frame,
        "last_frame": played.last_frame, "origin": played.origin, "retimed": played.speed, "start": played.start,
        "duration": played.duration, "as_strip": True, "fps": fps,
        "transcript": wish.transcript or strip.what_is_said(line).text or "",
    }  # fmt: skip
    if wish.alignment is not None:
        row |= {"alignment": str(Path(wish.alignment).absolute()), "alignment_fps": fps}
    if (corrected := corrections.with_pending(line, head)).listed:
        row["corrections"] = _beside(out, f"corrections/{name}.json", partial(_corrections, corrected))
    if not shape_keys.needs_rig(head) and shape_keys.own_shapes(head):
        mesh = f"heads/{_file_name(head.name)}.npz"
        row["mesh"] = _beside(out, mesh, partial(shape_keys.save_mesh, head, with_shapes=True))
    return row | {s.name: value for s in settings_of(LineSettings) if (value := getattr(wish, s.name)) != s.default}


def _sound(line: Any, out: Path, name: str) -> str:
    """The path of a strip's sound as the manifest has it: relative where it lies below it. A packed one is unpacked."""
    path = strip.sound_path(line)
    if (packed := line.sound.packed_file) is not None:
        data = packed.data
        return _beside(out, f"sounds/{name}{path.suffix}", lambda place: place.write_bytes(data))
    try:
        return path.resolve().relative_to(out.resolve().parent).as_posix()
    except ValueError:
        return str(path.resolve())


def _beside(out: Path, name: str, write: Callable[[Path], object]) -> str:
    """Let `write` make a file in the folder beside the manifest; returns its path from there."""
    from kmtalk_core.files import written_whole

    place = out.parent / f"{out.stem}{FILES}" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(place) as partial_file:
        write(partial_file)
    return place.relative_to(out.parent).as_posix()


def _corrections(kept: corrections.Stored, place: Path) -> None:
    known = {} if kept.audio_sha256 is None else {"audio_sha256": kept.audio_sha256}
    place.write_text(json.dumps({**known, "corrections": kept.listed}, ensure_ascii=False), encoding="utf-8")


def _file_name(name: str) -> str:
    """A name as files may have it everywhere."""
    return "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name).strip(" .") or "_"


def _free_name(name: str, names: set[str]) -> str:
    """`name`, or with a number where a file system might take it for one of `names`, which it joins."""
    from kmtalk_core.command.batch.naming import same

    number, free = 1, name
    while same(free) in names:
        number, free = number + 1, f"{name}.{number + 1}"
    names.add(same(free))
    return free


def _write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """As a table, or as a list of objects; columns that no row has are left out."""
    from kmtalk_core.files import written_whole

    columns = dict.fromkeys([*(c for c in FIRST if any(c in row for row in rows)), *(c for row in rows for c in row)])
    with written_whole(out) as partial_file:
        if out.suffix.lower() == ".json":
            partial_file.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
            return
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, list(columns), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        partial_file.write_text(text.getvalue(), encoding="utf-8", newline="")


@dataclass(frozen=True)
class _Home:
    """A result that has come home: which line it is, `played` there, the file with it, and whether the row `brought`
    its sound along."""

    played: Played
    file: Path
    brought: bool = False


def _apply_to(
    name: str, records: Sequence[Record], options: argparse.Namespace, progress: Callable[[float, str], None]
) -> list[Any]:
    """Put the results of these rows, which are of the scene of that name, on its faces."""
    scene, results = bpy.data.scenes.get(name), options.results
    placed = _Placed(scene or compat.sequencer_scene(bpy.context), options.manifest.parent)
    outcomes: list[scenes.LineOutcome] = []
    parts: list[Part] = []
    homes: dict[tuple[str, str], _Home] = {}
    for record in records:
        cells = record.cells
        try:
            brought = not cells.get("strip") and not cells.get("strip_id")
            part, home = placed.home(record, results) if brought else _home(scene, record, results)
        except InputError as error:
            blank = scenes.LineOutcome(cells.get("strip", record.where), cells.get("character", ""), "table", "", "")
            outcomes.append(replace(blank, status=scenes.FAILED, told=str(error)))
            continue
        parts.append(part)
        homes[part.strip.name, part.head.name] = home

    def make(scene: bpy.types.Scene, line: Any, head: bpy.types.Object, options: Options, heads: Path) -> Any:
        return _made(scene, line, head, options, heads, homes[line.name, head.name])

    if parts:
        steps = scenes.generate_scene(placed.scene, parts, lambda line: wishes(argparse.Namespace(), line), make=make)
        outcomes += work(steps, progress).lines
    return outcomes


def _home(scene: bpy.types.Scene | None, record: Record, results: Path) -> tuple[Part, _Home]:
    """The strip and head of a row, and its result; raises InputError where something is not there."""
    cells = record.cells
    if scene is None:
        raise InputError(f"There is no scene {cells.get('scene', '')} in the file.")
    lines = strip.sound_strips(scene)
    by_id = [line for line in lines if line.kmtalk.id and line.kmtalk.id == cells.get("strip_id")]
    line = next(iter(by_id or [line for line in lines if line.name == cells.get("strip")]), None)
    if line is None:
        raise InputError("The strip is gone from the file.")
    head = scene.objects.get(cells.get("character", ""))
    if head is None:
        raise InputError(f"There is no object {cells.get('character', '')} in the scene {scene.name}.")
    file = _result(cells, results)
    try:
        start, duration, fps, speed, origin = (
            float(cells[name]) for name in ("start", "duration", "fps", "retimed", "origin")
        )
        first = int(cells["first_frame"])
    except (KeyError, ValueError):
        raise InputError(f"{record.where} is not as Blender wrote it; write the manifest anew.") from None
    played = Played(line.name, str(strip.sound_path(line)), start, duration, first, origin, fps * speed, speed)
    return Part(line, shape_keys.check_mesh(head), "table"), _Home(played, file)


class _Placed:
    """Sounds that rows bring along, laid in a scene: one after the other, or at the frame of the column `frame`, each
    character's on a channel of its own."""

    def __init__(self, scene: bpy.types.Scene, folder: Path) -> None:
        self.scene, self._folder = scene, folder
        self._free = max((compat.handles(s).right for s in strip.sound_strips(scene)), default=scene.frame_start)
        self._channels: dict[tuple[str, int], int] = {}
        self._ends: dict[int, int] = {}

    def home(self, record: Record, results: Path) -> tuple[Part, _Home]:
        """The new strip of a row with its head, and its result; raises InputError where something is not there."""
        cells = record.cells
        file, who = _result(cells, results), cells.get("character", "")
        if cells.get("status") == "failed":
            raise InputError(f"It failed: {cells.get('error', '')}")
        head = self._head(who)
        animation = takes.loaded(_bytes(file))
        rate = strip.scene_rate(self.scene)
        if abs(animation.fps - rate) > 0.01:
            raise InputError(
                f"{file.name} has {animation.fps:g} frames a second and the scene {rate:g}; run the batch with --fps"
                f" {rate:g}."
            )
        if animation.origin is not None and animation.origin.part:
            raise InputError(f"{record.where} is of a part of its sound, which Blender must list; see `manifest`.")
        try:
            frame = int(float(asked)) if (asked := _own(cells).get("frame", "")) else self._free
        except ValueError:
            raise InputError(f"{record.where}: the frame {asked[:40]!r} is no number.") from None
        line = self._lay(Path(cells.get("audio", "")), who, frame)
        self._free = max(self._free, compat.handles(line).right)
        line.name = Path(cells["out"]).with_suffix("").as_posix()
        line.kmtalk.speaker = head
        if text := cells.get("transcript", ""):
            line.kmtalk.transcript = text
        return Part(line, head, "table"), _Home(strip.read_line(self.scene, line), file, True)

    def _head(self, who: str) -> bpy.types.Object:
        if who and who in self.scene.objects:
            return shape_keys.check_mesh(self.scene.objects[who])
        heads = casting.heads(self.scene)
        found = [head for head in heads if who.casefold() in head.name.casefold()] if who else heads
        if len(found) != 1:
            known = ", ".join(head.name for head in heads) or "none"
            raise InputError(f"Who says it is not known ({who or 'no character'}); the heads of the file are: {known}.")
        return found[0]

    def _lay(self, sound: Path, who: str, frame: int) -> Any:
        """A new strip on the first channel of the character that is free there."""
        path = next((p for p in (self._folder / sound, sound.absolute()) if p.is_file()), self._folder / sound)
        number = 0
        while self._ends.get(self._channels.get((who, number), 0), frame) > frame:
            number += 1
        line = strip.add_speech(self.scene, path, frame, self._channels.get((who, number)))
        self._channels[who, number] = line.channel
        self._ends[line.channel] = compat.handles(line).right
        return line


def _own(cells: Mapping[str, str]) -> dict[str, str]:
    """All cells of a row, those that a report keeps as its manifest's own columns too."""
    try:
        own = json.loads(cells.get("own", "{}"))
    except ValueError:
        own = {}
    return {**{name: str(cell) for name, cell in own.items()}, **cells} if isinstance(own, dict) else dict(cells)


def _result(cells: Mapping[str, str], results: Path) -> Path:
    """The result of a row; raises InputError if there is none."""
    from kmtalk_core.command.batch.naming import result_name

    name = cells.get("out") or Path(cells.get("audio", "")).stem
    file = results / result_name(name)
    if not file.is_file():
        raise InputError(f"There is no result {file}; run the batch again with --resume.")
    return file


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {file} ({error.strerror}); check the path.") from None


def _made(
    scene: bpy.types.Scene, line: Any, head: bpy.types.Object, options: Options, heads: Path, home: _Home
) -> lipsync.Steps[Made]:
    """A result as if it had just been made; raises InputError if it is of something else than the row says."""
    result = _bytes(home.file)
    animation = takes.loaded(result)
    part = animation.origin.part if animation.origin is not None else ()
    if not part and home.brought:
        return (yield from lipsync.take_in(scene, line, head, options, heads, result, home.played))
    if len(part) != 3 or abs(part[0] - home.played.start) > 1e-6 or abs(part[1] - home.played.duration) > 0.01:
        raise InputError(f"{home.file} is of another part of the sound; run the batch again with this manifest.")
    played = replace(home.played, delay=part[2])
    return (yield from lipsync.take_in(scene, line, head, options, heads, result, played))
