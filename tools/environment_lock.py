"""Pin the packages of the GPU environment: `python -m tools.environment_lock` writes assets/environment.lock.

Every package gets its version, and the checksums of its wheels for all systems and Pythons that the environment may be
made with. Torch is that of pip's own index, with what it needs for CUDA on Linux; other indexes have other builds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from kmtalk_core.service.environment import LOCK, TORCH

ROOT = Path(__file__).resolve().parents[1]
CORE = ("numpy>=2", "scipy", "av<19", "onnxruntime", "espeakng-loader", "pocketsphinx")
BESIDE_TORCH = ("filelock", "typing_extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools")
SPEECH = ("transformers", "faster-whisper")
ONLY = {"pocketsphinx": ("3.11", "3.13")}  # Pythons of Blender's; it is optional
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "linux": (*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)), "manylinux2014_x86_64"),
    "windows": ("win_amd64",),
    "macos": ("macosx_14_0_arm64", "macosx_13_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
}


class Unresolved(Exception):
    """What pip has said where it found no way."""


def main() -> None:
    """Resolve once with the versions of requirements.lock where it has them, then collect checksums."""
    tested = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line]
    tested = [line for line in tested if not line.startswith(("numpy", "torch", "bpy", "#"))]
    pins = _resolved([*CORE, *BESIDE_TORCH, *SPEECH], tested)
    core = {name for name, _ in _resolved([*CORE, *BESIDE_TORCH], tested)}
    others = {name for name, _ in pins}
    of_torch = [
        pin for pin in _resolved([TORCH], [f"{name}=={version}" for name, version in pins]) if pin[0] not in others
    ]
    pins += of_torch
    sums: dict[str, set[str]] = defaultdict(set)
    for python in PYTHONS:
        for system, platforms in PLATFORMS.items():
            here = [(n, v) for n, v in pins if python in ONLY.get(n, PYTHONS)]
            if system != "linux":
                here = [pin for pin in here if pin not in of_torch or f"{pin[0]}=={pin[1]}" == TORCH]
            for name, digest in _checksums(here, python, platforms, system):
                sums[name].add(digest)
    newest = _resolved(["pip"], ())
    pins += newest
    sums["pip"] = {digest for _, digest in _checksums(newest, "3.11", PLATFORMS["linux"], "linux")}
    part_of = {name: "core" if name in core else "speech" for name, _ in pins}
    part_of |= {"pip": "pip", **dict.fromkeys((name for name, _ in of_torch), "torch")}
    lines = ["# Every package of the GPU environment, made by `python -m tools.environment_lock`."]
    for part in ("pip", "core", "torch", "speech"):
        lines.append(f"# {part}")
        for name, version in pins:
            if part_of[name] == part:
                marker = " or ".join(f'python_version == "{python}"' for python in ONLY.get(name, ()))
                if part == "torch" and f"{name}=={version}" != TORCH:
                    marker = 'sys_platform == "linux"'
                marker = marker and f" ; {marker}"
                digests = " \\\n".join(f"    --hash=sha256:{digest}" for digest in sorted(sums[name]))
                lines.append(f"{name}=={version}{marker} \\\n{digests}")
    LOCK.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{LOCK.relative_to(ROOT)}: {len(pins)} packages, {sum(map(len, sums.values()))} checksums")


def _resolved(wanted: Sequence[str], tested: Sequence[str]) -> list[tuple[str, str]]:
    found = _report([*wanted], "3.11", PLATFORMS["linux"], tested)
    return sorted((_plain(each["metadata"]["name"]), each["metadata"]["version"]) for each in found)


def _checksums(
    pins: Sequence[tuple[str, str]], python: str, platforms: Sequence[str], system: str
) -> list[tuple[str, str]]:
    left = list(pins)
    while True:
        try:
            found = _report([f"{name}=={version}" for name, version in left], python, platforms, (), "--no-deps")
        except Unresolved as error:
            missing = re.search(r"No matching distribution found for ([\w.-]+)==", str(error))
            if missing is None:
                raise
            print(f"no wheel of {missing[1]} for Python {python} on {system}", file=sys.stderr)
            left = [pin for pin in left if pin[0] != _plain(missing[1])]
            continue
        return [(_plain(each["metadata"]["name"]), each["download_info"]["archive_info"]["hashes"]["sha256"])
                for each in found]  # fmt: skip


def _report(
    wanted: Sequence[str], python: str, platforms: Sequence[str], constraints: Sequence[str], *more: str
) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        limits = Path(folder) / "constraints.txt"
        limits.write_text("\n".join(constraints))
        command = [
            sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-input",
            "--disable-pip-version-check", "--only-binary=:all:", "--python-version", python, "--implementation", "cp",
            *(word for platform in platforms for word in ("--platform", platform)),
            "--target", folder, "--report", f"{folder}/report.json", "-c", str(limits), *more, *wanted,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unresolved(done.stderr)
        return json.loads((Path(folder) / "report.json").read_text())["install"]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
