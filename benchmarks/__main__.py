"""`python -m benchmarks [NAME …]`: the speed figures of this machine, as a markdown table.

Speech is the sample speech, repeated to the length that is needed. Nothing here passes or fails: the aims are those of
the design, for two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS, DEMO_HEAD
from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.motion import KeyMotions
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.mesh import Mesh, load_mesh

SAMPLE = ASSETS / "sample_speech.flac"
FLAME_HEAD = Path(__file__).parent.parent.parent / "shared" / "data" / "mesh" / "FLAME_sample.ply"
REPEATS = 3  # the median counts
FAR = 100_000  # frame at which no other line is

MEMORY = r"""
import pathlib, re, resource, sys, time
from kmtalk_core.process import settle
settle()
from kmtalk_core.service import protocol, worker
start = time.perf_counter()
text = pathlib.Path(sys.argv[3]).read_text(encoding="utf-8") or None
worker.serve(protocol.Animate(sys.argv[1], sys.argv[2], transcript=text), lambda *_: None)
took = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = pathlib.Path("/proc/self/status")
if status.is_file():  # on Linux, the former counts what the parent had when it forked
    peak = re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]
print(peak, took)
"""
WARM = r"""
import pathlib, statistics, sys, time
from kmtalk_core.process import settle
settle()
from kmtalk_core.animator import Animator
from kmtalk_core.audio import load_sound
from kmtalk_core.request import Request
animator, sound, request = Animator(), load_sound(sys.argv[1]), Request(transcript=sys.argv[2])
took = []
for _ in range(9):
    start = time.process_time()
    animator.animate(sound, request)
    took.append(time.process_time() - start)
print(statistics.median(took))
"""
YARDSTICK = "import numpy, av, onnxruntime"
ENABLING = """
import bpy, time
start = time.perf_counter()
import kmtalk_addon
kmtalk_addon.register()
print(time.perf_counter() - start)
"""

CACHING = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # as installed packages are: compiled once
Row = tuple[str, str, str]  # what, measured, aim


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help=f"from {', '.join(BENCHMARKS)}; default: all")
    chosen = parser.parse_args().name or list(BENCHMARKS)
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]}; choose from {', '.join(BENCHMARKS)}")
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}\n")
    print("| figure | measured | aim |\n|---|---|---|")
    for name in chosen:
        for row in BENCHMARKS[name]():
            print(f"| {' | '.join(row)} |", flush=True)


def pipeline() -> Iterator[Row]:
    """Sound file → keyframes on a head in Blender, with a warm worker as after the first line of a session."""
    for seconds, with_text, aim in ((60, True, "≥ 50 ×"), (60, False, "≥ 20 ×"), (10, True, "< 1 s")):
        with speech(seconds) as (path, text):
            took = median_time(*blender_session(path, text if with_text else None))
        measured = f"{took:.2f} s, {seconds / took:.0f} × real time"
        yield f"{seconds} s of speech to keyframes, with{'' if with_text else 'out'} transcript", measured, aim


def completion() -> Iterator[Row]:
    with speech(60) as (path, text):
        animator = Animator()
        animation = animator.animate(load_sound(path), Request(transcript=text))
    poses = animation.keys.controls.copy()
    poses[len(poses) // 2, animation.control_names.index("jawOpen")] += 0.3
    keys = KeyMotions(animation.keys.times, poses)
    took = median_time(lambda: animator.complete(animation, keys))
    yield "re-completion after one edited key in 60 s", f"{1000 * took:.0f} ms", "< 100 ms"


def rig() -> Iterator[Row]:
    heads = [load_mesh(FLAME_HEAD)] if FLAME_HEAD.is_file() else []
    for mesh in (*heads, load_mesh(DEMO_HEAD), subdivided(load_mesh(DEMO_HEAD))):
        start = time.perf_counter()
        build_rig(mesh)
        took = time.perf_counter() - start
        count = len(mesh.vertices)
        yield f"rig of {count:,} vertices", f"{took:.2f} s", "< 2 s" if count < 10_000 else "< 10 s"


def curves() -> Iterator[Row]:
    """52 controls × 1,800 frames into F-curves."""
    from kmtalk_addon import keyframes, shape_keys
    from kmtalk_addon.strip import Played

    with speech(60) as (path, _):
        animation = Animator().animate(load_sound(path), Request(localizer="uniform"))
    arkit = 52
    animation = replace(
        animation,
        times=animation.times[:1800],
        control_names=animation.control_names[:arkit],
        controls=animation.controls[:1800, :arkit],
        keys=KeyMotions(animation.keys.times, animation.keys.controls[:, :arkit]),
    )
    head = new_blender_head()
    head.shape_key_add(name="Basis")
    for name in animation.control_names:
        head.shape_key_add(name=name)
    line = Played("line", str(SAMPLE), 0.0, animation.times[-1], 1, 1.0, 30.0, 1.0)
    names = shape_keys.controls_of(head)

    def write() -> None:
        keyframes.write(head, keyframes.new_action(head.data.shape_keys, "Benchmark"), names, line, animation)

    took = median_time(write)
    yield f"{len(names)} channels × {len(animation.times):,} frames into F-curves", f"{1000 * took:.0f} ms", "< 200 ms"


def reduction() -> Iterator[Row]:
    """Motion on every frame → few Bézier keys."""
    from kmtalk_core.finish.reduced import reduced_curves

    for seconds, fps in ((60, 24.0), (60, 60.0), (2, 24.0)):
        with speech(seconds) as (path, text):
            animation = Animator().animate(load_sound(path), Request(transcript=text, fps=fps))
        moved = np.abs(animation.controls).max(0) > 1e-4
        names = [name for name, moves in zip(animation.control_names, moved, strict=True) if moves]
        curves = reduced_curves(animation, names)
        if (seconds, fps) == (60, 24.0):
            took = median_time(partial(reduced_curves, animation, names))
            yield f"60 s × {len(names)} channels into sparse curves", f"{took:.2f} s", "< 1 s"
        frames = np.arange(len(animation.times), dtype=float)
        off = np.abs(np.stack([curve.at(frames) for curve in curves], 1) - animation.controls[:, moved]).max()
        keys = np.mean([len(curve.points) for curve in curves]) / animation.times[-1]
        what = f"keys a second and channel, farthest from the motion ({seconds} s, {fps:g} frames a second)"
        yield what, f"{keys:.1f}, {100 * off:.1f} %", "≤ 5, ≤ 1.5 %"


def processor() -> Iterator[Row]:
    """CPU time, of all threads and kernel work, in seconds and as a multiple of what starting Python and its packages
    takes in the same run: seconds depend on the machine and on who else uses it, multiples hardly do."""
    start, _ = cost_of([sys.executable, "-c", YARDSTICK])
    yield "starting Python, numpy, PyAV and ONNX Runtime", f"{start:.2f} s of CPU", ""
    aims = {(3, True): "≤ 0.35 s", (63, True): "≥ 50 × real time", (63, False): "≥ 25 × real time"}
    for seconds, with_text in ((3, True), (3, False), (63, True), (63, False)):
        with speech(seconds) as (path, text):
            out = str(path.with_suffix(".npz"))
            said = ["--transcript", text] if with_text else []
            took, waited = cost_of([sys.executable, "-m", "kmtalk_core", "animate", str(path), *said, "--out", out])
        measured = (
            f"{took:.2f} s of CPU ({took / start:.1f} starts), {waited:.2f} s, {seconds / waited:.0f} × real time"
        )
        name = f"{seconds} s of speech{' with transcript' * with_text}, process start included"
        yield name, measured, aims.get((seconds, with_text), "")
    with speech(4.5) as (path, text):
        took = float(subprocess.check_output([sys.executable, "-c", WARM, str(path), text]))
    measured = f"{1000 * took:.0f} ms of CPU ({took / start:.2f} starts)"
    yield "4.5 s of speech with transcript, warm", measured, "≤ 60 ms"


def cost_of(command: Sequence[str]) -> tuple[float, float]:
    """User and system time of a command, and how long one waits for it, in s: medians."""
    costs = []
    for _ in range(REPEATS):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parent.parent, env=CACHING)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        costs.append((used, after.elapsed - before.elapsed))
    return statistics.median(cpu for cpu, _ in costs), statistics.median(waited for _, waited in costs)


def memory() -> Iterator[Row]:
    """The worker's peak memory, and its speed, for short and long sounds with and without a transcript."""
    for minutes, with_text in ((1, False), (10, False), (60, False), (60, True)):
        with speech(60 * minutes) as (path, text):
            said = path.with_suffix(".txt")
            said.write_text(text if with_text else "", encoding="utf-8")
            command = [sys.executable, "-c", MEMORY, str(path), str(path.with_suffix(".npz")), str(said)]
            kilobytes, took = map(float, subprocess.check_output(command, text=True).split())
        if sys.platform == "darwin":
            kilobytes /= 1024
        measured = f"{kilobytes / 1024:.0f} MB, {60 * minutes / took:.0f} × real time"
        name = f"peak memory of the worker, {minutes} min of speech{' with transcript' if with_text else ''}"
        yield name, measured, "< 500 MB"


def enabling() -> Iterator[Row]:
    command = [sys.executable, "-c", ENABLING]
    took = statistics.median(float(subprocess.check_output(command, env=CACHING)) for _ in range(REPEATS))
    yield "enabling the add-on", f"{1000 * took:.0f} ms", "< 200 ms"


BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    "processor": processor,
    "pipeline": pipeline,
    "completion": completion,
    "rig": rig,
    "curves": curves,
    "reduction": reduction,
    "memory": memory,
    "enabling": enabling,
}


def median_time(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The median of REPEATS runs in seconds, after one that is not counted."""
    before()
    work()
    took = []
    for _ in range(REPEATS):
        before()
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


@contextmanager
def speech(seconds: float) -> Iterator[tuple[Path, str]]:
    """Yield a .wav of the sample speech repeated to `seconds`, and its transcript."""
    samples = (load_sound(SAMPLE).samples * 32767).astype("<i2")
    text = SAMPLE.with_suffix(".txt").read_text(encoding="utf-8").split()
    repeats, rest = divmod(round(seconds * SAMPLE_RATE), len(samples))
    with tempfile.TemporaryDirectory(prefix="kmtalk-benchmark-") as folder:
        path = Path(folder) / "speech.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
            for _ in range(repeats):
                file.writeframes(samples.tobytes())
            file.writeframes(samples[:rest].tobytes())
        yield path, " ".join(text * repeats + text[: round(len(text) * rest / len(samples))])


def subdivided(mesh: Mesh) -> Mesh:
    """Four triangles for each; the vertices that were there, landmarks included, keep their numbers."""
    sides = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, of_side = np.unique(sides, axis=0, return_inverse=True)
    ab, bc, ca = (of_side.reshape(-1, 3) + len(mesh.vertices)).T
    a, b, c = mesh.faces.T
    faces = np.concatenate([np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    middles = mesh.vertices[edges].mean(axis=1)
    components = mesh.components
    if components is not None:
        components = np.concatenate([components, components[edges[:, 0]]])
    vertices = np.concatenate([mesh.vertices, middles])
    return Mesh(vertices, faces, components, mesh.component_names, mesh.landmarks)


def new_blender_head():
    """The demo head in an empty Blender file with the add-on on."""
    import bpy

    import kmtalk_addon
    from kmtalk_addon.example import head_object
    from kmtalk_core.files import load_npz

    if hasattr(bpy.types.Scene, "kmtalk"):
        kmtalk_addon.unregister()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    kmtalk_addon.register()
    head = head_object(load_npz(DEMO_HEAD))
    bpy.context.scene.collection.objects.link(head)
    return head


def blender_session(path: Path, text: str | None) -> tuple[Callable[[], object], Callable[[], object]]:
    """The demo head, which has spoken a line before, and a sound strip: returns the click on Generate Lip Sync, and
    what forgets its line (keyframes that are there already are written faster)."""
    import bpy

    from kmtalk_addon import api, compat
    from kmtalk_addon.lipsync import Options

    head = new_blender_head()
    scene = bpy.context.scene
    scene.render.fps = 30
    compat.add_sound_strip(scene, "first", str(SAMPLE), 2, FAR)
    api.generate(head, "first", scene, Options(localizer="uniform"))
    strip = compat.add_sound_strip(scene, "line", str(path), 1, 1)

    def generate() -> None:
        api.generate(head, strip.name, scene, Options(transcript=text))

    def forget() -> None:
        with suppress(InputError):  # there is none before the first click
            api.remove(head, strip.name, scene)

    return generate, forget


if __name__ == "__main__":
    main()
