"""The command `kmtalk batch`: its options, and what it tells."""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ...leftovers import temporary_folder
from ...settings import Settings, settings_of
from ..arguments import add_setting, integer
from ..display import Display
from .addresses import Store, at
from .shard import shard

if TYPE_CHECKING:
    from .line import Line
    from .report import Outcome

LISTED = 20  # failed lines, or changes, that are told one by one


def add_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `batch`; a setting is the default of lines that do not say it."""
    sub.add_argument(
        "manifest", type=at, metavar="MANIFEST", help=".csv or .json with lines, a folder of sounds, or a .blend"
    )
    sub.add_argument(
        "--out",
        type=at,
        required=True,
        metavar="DIR",
        help="folder for results and reports; also s3://… and the like",
    )
    sub.add_argument("--resume", action="store_true", help="skip the lines whose result is right already")
    sub.add_argument("--workers", type=integer(1), metavar="N", help="processes side by side (all processors)")
    sub.add_argument("--dry-run", action="store_true", help="check everything, and say what would be done")
    sub.add_argument("--shard", type=shard, metavar="I/N", help="the I-th of N parts, for farms")
    sub.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, whose workers do the lines: tcp://host:8786")
    sub.add_argument("--name", metavar="TEMPLATE", help='how results are called: "{scene}/{character}_{line}"')
    sub.add_argument("--profiles", type=Path, metavar="TOML", help="settings for characters, and by name")
    sub.add_argument(
        "--blender", default="", metavar="PROGRAM", help="for .fbx, .usd, .abc and .blend (the one on the path)"
    )
    add_defaults(sub)
    sub.add_argument("--max-doubt", type=share, metavar="D", help="exit status 1 if a line's doubt is above D, 0 to 1")


def add_defaults(sub: argparse.ArgumentParser) -> None:
    """Describe what lines may say themselves, too."""
    sub.add_argument("--mesh", type=Path, metavar="MESH", help="head of lines that name none")
    sub.add_argument("--vertices", action="store_true", help="store the mesh's vertices of every frame too")
    sub.add_argument(
        "--target", metavar="FAMILY", help="curves for the shapes of arkit, oculus, … or a mapping.json, too"
    )
    sub.add_argument("--formats", metavar="F,…", help="export these beside each result: csv, glb, mp4, fbx, usdc, …")
    sub.add_argument("--template", type=Path, metavar="BLEND", help="heads on which Blender shows lines, by character")
    for setting in settings_of(Settings):
        add_setting(sub, setting, with_default=False)


def add_diff_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `diff`."""
    sub.add_argument("a", type=Path, metavar="A", help="the former: a folder of `kmtalk batch`, or a result")
    sub.add_argument("b", type=Path, metavar="B", help="the later one")
    sub.add_argument("--out", type=Path, metavar="F.(csv|json)", help="write every change there")
    sub.add_argument("--max-mm", type=length, metavar="MM", help="exit status 1 if the lips differ by more anywhere")


def share(text: str) -> float:
    """Converter for a number from 0 to 1."""
    value = length(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text[:40]} is out of range: it must be 0 to 1")
    return value


def length(text: str) -> float:
    """Converter for a number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of at least 0")
    return value


def diff(options: argparse.Namespace, progress: Display) -> int:
    """Run `diff`; returns its exit status."""
    from ..outputs import check_output
    from .diff import CHANGED, SAME, differences, summary_of, write_changes

    if options.out is not None:
        check_output(options.out, ".csv", ".json")
    changes = sorted(differences(options.a, options.b, progress), key=lambda change: change.place)
    if options.out is not None:
        write_changes(changes, options.out)
    progress.clear()
    for change in [change for change in changes if change.status != SAME][:LISTED]:
        told = f"{change.out}: {change.status}"
        if change.status == CHANGED:
            told += f", {change.opening:.1f} mm at {change.at:.2f} s, {change.mean:.2f} mm on average"
            told += f", {change.words} word{'s' * (change.words > 1)}" * bool(change.words)
            told += f", {change.keys:+d} keys" * bool(change.keys)
        print(told)
    print(f"{summary_of(changes)}.")
    limit = options.max_mm
    return 1 if limit is not None and any(change.opening > limit for change in changes) else 0


def batch(options: argparse.Namespace, progress: Display) -> int:
    """Run the command; returns its exit status."""
    from .stores import work_folder

    store = options.out if isinstance(options.out, Store) else None
    if store is not None:
        options.out = work_folder(store, options.shard.label if options.shard else "")
    with written_manifest(options, progress) as (manifest, base):
        return batch_of(manifest, base, store, options, progress)


def batch_of(manifest: Path, base: str, store: Store | None, options: argparse.Namespace, progress: Display) -> int:
    """Run the lines of `manifest`, which is written for, fetched for or named by the options; `base` is the address of
    the folder that it lies in, if any, and `store` where results go, if they do; returns the exit status."""
    from .blender import refused_lines
    from .checks import check_space, lines_that_cannot_work
    from .manifest import own_columns, read_manifest
    from .profiles import read_profiles
    from .run import run_batch
    from .stores import located

    before = content_of(options.manifest)
    profiles = None if options.profiles is None else read_profiles(options.profiles)
    lines = read_manifest(manifest, defaults_of(options), profiles, options.name, base)
    if (own := own_columns(lines)) and manifest == options.manifest:
        progress.warning(f"Columns that are not KMTalk's go into the report as they are: {', '.join(own)}.")
    if options.shard is not None:
        lines = [line for place, line in enumerate(lines) if options.shard.holds(place)]
    if options.scheduler is not None:  # other machines have other working folders
        options.out = options.out.absolute()
        lines = [line.absolute() for line in lines]
    progress(0.0, "checking files")
    lines, gone = located(lines, options.out.absolute())
    unable = gone | lines_that_cannot_work(lines)
    if options.scheduler is None:
        unable |= refused_lines(lines, options.blender)
    check_space(options.out, [line for place, line in enumerate(lines) if place not in unable])
    if options.dry_run:
        return tell_plan(lines, unable, options, progress)
    outcome = run_batch(
        lines,
        options.out,
        resume=options.resume,
        workers=options.workers,
        progress=progress,
        unable=unable,
        shard=options.shard,
        scheduler=options.scheduler,
        store=store,
        blender=options.blender,
    )
    tell_failures(outcome, progress)
    if content_of(options.manifest) != before:
        progress.warning(f"{options.manifest} was changed meanwhile; give the same command with --resume again.")
    page = outcome.report.with_suffix(".html")
    progress.done(page if store is None else store / page.name, outcome.summary)
    return 1 if outcome.failed or doubtful(outcome, options.max_doubt, progress) else 0


@contextmanager
def written_manifest(options: argparse.Namespace, progress: Display) -> Iterator[tuple[Path, str]]:
    """The manifest of the lines, and the address of its folder if it lies in a store, from which it is fetched first.

    That of a .blend is written, beside the results or, to try only, elsewhere.
    """
    from .from_blend import is_blend, manifest_of
    from .stores import fetch

    if isinstance(options.manifest, Store):
        base, _, name = options.manifest.address.rpartition("/")
        with temporary_folder() as folder:
            fetch(options.manifest.address, folder / name)
            yield folder / name, base
        return
    if not is_blend(options.manifest):
        yield options.manifest, ""
        return
    progress(0.0, "Blender lists the lines")
    with temporary_folder() if options.dry_run else nullcontext(options.out) as folder:
        manifest, told = manifest_of(options.manifest, folder, options.blender)
        progress.warnings(told)
        yield manifest, ""


def doubtful(outcome: Outcome, limit: float | None, progress: Display) -> int:
    """How many lines are above the limit of doubt; tells of them."""
    above = [report for report in outcome.reports if limit is not None and report.doubt > limit]
    if above:
        worst = max(above, key=lambda report: report.doubt)
        progress.warning(f"Lines with more doubt than {limit:g}: {len(above)}; the worst is {worst.out}.")
    return len(above)


def defaults_of(options: argparse.Namespace) -> dict[str, str]:
    """The cells that the options are the default of."""
    names = [*(setting.name for setting in settings_of(Settings)), "mesh", "template", "target", "formats"]
    given = {name: str(value) for name in names if (value := getattr(options, name)) is not None}
    return given | ({"vertices": "true"} if options.vertices else {})


def tell_plan(lines: Sequence[Line], unable: dict[int, str], options: argparse.Namespace, progress: Display) -> int:
    """Say what would be done, on standard output, and what cannot be; the exit status is 1 for the latter."""
    from .run import plan

    for place, why in unable.items():
        progress.warning(f"{lines[place].where}: {why}")
    progress.clear()
    counts = Counter(plan(lines, options.out, options.resume, unable))
    print(f"{len(lines)} lines: " + ", ".join(f"{count} to {what}" for what, count in counts.items()) + ".")
    for name in ("character", "scene", "language"):
        values = Counter(str(getattr(line, name)) for line in lines if getattr(line, name))
        if len(values) > 1 or name != "language":
            listed = [f"{value} {count}" for value, count in values.most_common(LISTED)]
            if listed:
                print(f"{name}: {', '.join(listed)}{', …' if len(values) > LISTED else ''}")
    for line in lines[:3]:
        print(f"{line.audio} → {', '.join(str(options.out / name) for name in line.outputs)}")
    return 1 if unable else 0


def tell_failures(outcome: Outcome, progress: Display) -> None:
    """Warn of the lines that failed, of the first ones one by one."""
    for report in outcome.failed[:LISTED]:
        progress.warning(f"{report.audio}: {report.error}")
    if len(outcome.failed) > LISTED:
        progress.warning(f"{len(outcome.failed) - LISTED} more lines failed; {outcome.report} lists them.")


def content_of(manifest: Path | Store) -> str:
    """A digest of a manifest's content, or of the names in a folder; "" if it is gone."""
    from .stores import state_of

    if isinstance(manifest, Store):
        return state_of(manifest.address)
    try:
        if manifest.is_dir():
            return "\n".join(sorted(str(path) for path in manifest.rglob("*")))
        return hashlib.sha256(manifest.read_bytes()).hexdigest()
    except OSError:
        return ""
