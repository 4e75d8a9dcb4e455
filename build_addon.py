"""Build the Blender extension: a .zip with the add-on, the core and the wheels that it needs.

    python build_addon.py                              # for this platform, Blender 4.2 to 5.2
    python build_addon.py --platform windows-x64       # linux-x64, windows-x64, macos-arm64 or macos-x64

Needs pip with a package index. Install the result with Edit > Preferences > Get Extensions > Install from Disk.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.13")  # of the official builds: 4.2 to 5.0, and from 5.1 on

# What the worker imports beside numpy, which Blender has; versions come from requirements.lock.
PACKAGES = ("av", "num2words", "onnxruntime", "pocketsphinx", "scipy")
POCKETSPHINX_PYTHONS = ("3.11", "3.12", "3.13")
# Blender 4.2 brings numpy 1.24, for which newer versions of scipy don't load. For Python 3.11.
OLD_SCIPY = "1.15.3"

# Blender's names of platforms → pip's, the newest first.
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": tuple(f"macosx_{major}_0_arm64" for major in (14, 13, 12, 11)),
    "macos-x64": ("macosx_14_0_x86_64", "macosx_13_0_x86_64", "macosx_12_0_x86_64", "macosx_10_13_x86_64"),
}


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--platform", choices=PLATFORMS, default=this_platform(), help="default: this one")
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="3.X", help="Blender's Python (3.11 3.13)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="folder for the .zip (dist)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(build(options.platform, options.python, options.out))


def build(target: str, pythons: Sequence[str], out: Path) -> Path:
    """Write kmtalk-VERSION-PLATFORM.zip into the folder `out`; returns its path."""
    manifest = (ROOT / "kmtalk_addon" / "blender_manifest.toml").read_text(encoding="utf-8")
    version = tomllib.loads(manifest)["version"]
    path = out / f"kmtalk-{version}-{target}.zip"
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(copy_of_core(Path(folder) / "source")))
        for python in pythons:
            download(requirements(python), python, target, wheels)
        names = sorted(wheel.name for wheel in wheels.glob("*.whl"))
        added = f"platforms = {json.dumps([target])}\nwheels = {json.dumps([f'./wheels/{name}' for name in names])}\n"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("blender_manifest.toml", manifest.replace("\n[permissions]", f"\n{added}\n[permissions]"))
            for source in sorted((ROOT / "kmtalk_addon").glob("*.py")):
                archive.write(source, source.name)
            archive.write(ROOT / "LICENSE", "LICENSE")
            for name in names:
                archive.write(wheels / name, f"wheels/{name}", zipfile.ZIP_STORED)
    return path


def requirements(python: str) -> list[str]:
    """PACKAGES with their versions, as far as they exist for this Python."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w-]+)==([^\s;]+)", lock, re.MULTILINE))
    if python == "3.11":
        pins["scipy"] = OLD_SCIPY
    return [f"{name}=={pins[name]}" for name in PACKAGES if name != "pocketsphinx" or python in POCKETSPHINX_PYTHONS]


def download(wanted: list[str], python: str, target: str, folder: Path) -> None:
    """Put the wheels of `wanted` for this Python and platform into `folder`."""
    tags = [argument for tag in PLATFORMS[target] for argument in ("--platform", tag)]
    choice = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python, *tags]
    pip("download", *choice, "--dest", str(folder), *wanted)


def copy_of_core(folder: Path) -> Path:
    """The sources of the wheel of `kmtalk_core`, away from the checkout, for building leaves files behind."""
    shutil.copytree(ROOT / "kmtalk_core", folder / "kmtalk_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def pip(*arguments: str) -> None:
    """Run pip; its own words explain what is wrong, if anything is."""
    if subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=False).returncode:
        sys.exit(f"pip could not {arguments[0]} what the extension needs; see above.")


def this_platform() -> str:
    """Blender's name of the platform that this runs on."""
    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}.get(platform.system(), "linux")
    machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") and system == "macos" else "x64"
    return f"{system}-{machine}"


if __name__ == "__main__":
    main()
