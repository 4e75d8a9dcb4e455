"""`python -m benchmarks.batch [--lines N] [--kills N]`: what a line of a batch costs, and what kills do to a batch.

Lines are 4.5 s of the sample speech, each from another start and at another loudness, with the words that are said
there. Costs are CPU seconds, by which a busy machine does not matter; those of starting are told apart by running many
lines and few. With `--kills`, a season is killed at random moments and gone on with, over and over.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.command.batch.journal import Journal
from kmtalk_core.command.batch.origin import sha256_of
from kmtalk_core.leftovers import OWN
from kmtalk_core.request import Request

SECONDS = 4.5  # of a line
FEW = 8  # lines, by which the costs of starting are known
ROOT = Path(__file__).parent.parent
SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
MARKER = "KMTALK_BENCHMARK"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--lines", type=int, default=80, metavar="N", help="lines of the long run (80)")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill a season that often instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=4.0, metavar="S", help="of its beginning, kill it (4)")
    parser.add_argument("--formats", default="", metavar="F,…", help="have these beside each result of a season")
    parser.add_argument("--blender", default="", metavar="PROGRAM", help="for formats that need one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kmtalk-benchmark-") as name:
        folder = Path(name)
        write_lines(folder, options.lines)
        if options.kills:
            print(kill(folder, options.lines, options.kills, random.Random(options.seed), options))
        else:
            print(costs(folder, options.lines))


def write_lines(folder: Path, count: int) -> None:
    """Sounds and a manifest for each number of lines that is used."""
    speech = load_sound(ASSETS / "sample_speech.flac")
    text = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")
    words = Animator().align(speech, Request(transcript=text)).words
    lines = []
    for number in range(count):
        start = (number * 0.37) % (speech.duration - SECONDS)
        said = [word.label for word in words if start <= word.start and word.end <= start + SECONDS]
        samples = speech.samples[round(start * SAMPLE_RATE) :][: round(SECONDS * SAMPLE_RATE)]
        path = folder / f"line{number:04}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
            file.writeframes((samples * (0.5 + 0.5 * number / count) * 32767).astype("<i2").tobytes())
        lines.append({"audio": path.name, "transcript": " ".join(said)})
    for some in (FEW, count):
        (folder / f"{some}.json").write_text(json.dumps(lines[:some]), encoding="utf-8")


def command(folder: Path, lines: int, workers: int, out: str, *options: str) -> list[str]:
    manifest = folder / f"{lines}.json"
    batch = [sys.executable, "-m", "kmtalk_core", "batch", str(manifest), "--out", str(folder / out)]
    return [*batch, "--workers", str(workers), *options]


def costs(folder: Path, lines: int) -> str:
    """A table of what a line costs with one and with two workers, and going on when nothing has changed."""
    rows = ["| | CPU ms a line | lines a minute and core | wall s | workers' memory, MB |", "|---|---|---|---|---|"]
    for workers in (1, 2):
        few, _, _ = run(command(folder, FEW, workers, f"few{workers}"))
        cpu, wall, memory = run(command(folder, lines, workers, f"many{workers}"))
        line = (cpu - few) / (lines - FEW)
        rows.append(f"| {workers} workers | {1000 * line:.0f} | {60 / line:.0f} | {wall:.1f} | {memory:.0f} |")
        few, _, _ = run(command(folder, FEW, workers, f"few{workers}", "--resume"))
        cpu, wall, memory = run(command(folder, lines, workers, f"many{workers}", "--resume"))
        line = max(cpu - few, 1e-6) / (lines - FEW)
        rows.append(f"| {workers} workers, nothing to do | {1000 * line:.1f} | {60 / line:.0f} | {wall:.1f} | |")
    rows.append(f"\nOn its own, warm, a line costs {1000 * alone(folder, lines):.0f} ms of CPU in this process.")
    return "\n".join(rows)


def alone(folder: Path, lines: int) -> float:
    """CPU seconds of a line without a batch around it."""
    from kmtalk_core.results import save_animation

    animator = Animator()
    told = json.loads((folder / f"{lines}.json").read_text(encoding="utf-8"))[: 2 * FEW]
    for number, line in enumerate(told):
        if number == FEW:
            start = time.process_time()
        animation = animator.animate(load_sound(folder / line["audio"]), Request(transcript=line["transcript"]))
        save_animation(animation, folder / "alone.npz")
    return (time.process_time() - start) / FEW


def run(arguments: list[str]) -> tuple[float, float, float]:
    """CPU seconds and wall seconds of a command with its children, and the peak memory of the largest of them, MB."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(arguments, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - start, after.ru_maxrss / 1024


def kill(folder: Path, lines: int, kills: int, dice: random.Random, options: argparse.Namespace) -> str:
    """Kill seasons at random moments; what is found wrong is raised, what was done is told."""
    season, ended, made_again, torn = 0, 0, 0, 0
    endings = [f".{name}" for name in options.formats.split(",") if name]
    beside = ["--formats", options.formats, "--blender", options.blender] if endings else []
    settled: dict[str, int] = {}
    truth: dict[str, str] = {}
    for number in range(kills):
        out = folder / f"season{season}"
        kind, marker = dice.choice(SIGNALS), f"{os.getpid()}-{number}"
        with subprocess.Popen(
            command(folder, lines, 2, out.name, "--resume", "--progress", "json", *beside),
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {MARKER: marker},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as batch:
            assert batch.stderr is not None
            if kind != "SIGKILL":
                batch.stderr.readline()
            time.sleep(dice.uniform(0.0, options.within))
            batch.send_signal(getattr(signal, kind))
            said = batch.stderr.read() if kind != "SIGKILL" else b""
        assert b"Traceback" not in said, said.decode()
        wait_for_none(marker)
        torn += sum(OWN.fullmatch(path.name) is not None for path in out.glob(".*"))
        if (out / ".kmtalk-batch.sqlite").exists():
            with Journal(out) as journal:
                known = journal.entries()
            done = {name for name, entry in known.items() if entry.state == "done"} | settled.keys()
            for name in done:  # recorded, so there, whole, and the same as in every other season
                sha = sha256_of(out / name)
                assert sha == known[name].sha256 == truth.setdefault(name, sha), name
                exports = [out / f"{name.removesuffix('.npz')}{ending}" for ending in endings]
                assert all(path.stat().st_size for path in exports), name
            for path in out.glob("[!.]*.npz"):
                np.load(path)["controls"]  # nothing half written, recorded or not
            dates = {name: (out / name).stat().st_mtime_ns for name in done}
            made_again += sum(dates[name] != at for name, at in settled.items())
            settled = dates
        if batch.returncode == 0 or len(settled) == lines:
            ended, season, settled = ended + 1, season + 1, {}
    subprocess.run(command(folder, lines, 2, f"season{season}", "--resume", *beside), check=True, cwd=ROOT)
    left = [path for path in (folder / f"season{season}").glob(".*") if OWN.fullmatch(path.name)]
    assert not left and len(list((folder / f"season{season}").glob("*.npz"))) == lines
    return (
        f"{kills} kills over {ended + 1} seasons of {lines} lines: no process left, no result half written or lost, "
        f"{made_again} recorded results made again; {torn} unfinished files, all removed by the next run."
    )


def wait_for_none(marker: str, patience: float = 5.0) -> None:
    """Wait until no process of a run is left; raises if one stays."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if not processes(marker):
            return
        time.sleep(0.05)
    raise AssertionError(f"processes were left: {processes(marker)}")


def processes(marker: str) -> list[int]:
    """The processes that have `marker` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"{MARKER}={marker}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
