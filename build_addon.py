"""Build the Blender extension: a .zip with the add-on, the core and all that they need, offline.

    python build_addon.py                              # for this platform
    python build_addon.py --platform all               # linux-x64, windows-x64 and macos-arm64
    python build_addon.py --lock                       # choose the bundled wheels anew, for maintainers

Python 3.11 and pip suffice. Wheels are downloaded once, by the hashes in extension.lock; the same sources give the same
bytes. Install the result with Edit > Preferences > Get Extensions > Install from Disk; see docs/installation.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tools.extension import archive, core, terms, wheels

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--platform", choices=(*wheels.PLATFORMS, "all"), default=this_platform(), help="default: this")
    parser.add_argument(
        "--python", nargs="+", default=wheels.PYTHONS, metavar="3.X", help="Blender's Pythons (3.11 3.13; also 3.14)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="folder for the .zip (dist)")
    parser.add_argument("--lock", action="store_true", help="write extension.lock anew; needs a package index")
    options = parser.parse_args()
    try:
        if options.lock:
            wheels.lock()
            return
        options.out.mkdir(parents=True, exist_ok=True)
        for target in wheels.PLATFORMS if options.platform == "all" else [options.platform]:
            path = build(target, options.python, options.out)
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  sha256 {wheels.sha256(path)}")
    except (wheels.BuildError, OSError) as error:
        sys.exit(f"build_addon.py: {error}")


def build(target: str, pythons: Sequence[str], out: Path) -> Path:
    """Write kmtalk-VERSION-PLATFORM.zip into the folder `out`; returns its path."""
    manifest = (ROOT / "kmtalk_addon" / "blender_manifest.toml").read_text(encoding="utf-8")
    version = tomllib.loads(manifest)["version"]
    bundled = bundled_wheels(target, pythons)
    with tempfile.TemporaryDirectory() as folder:
        wheel, for_torch = core.write_core(Path(folder), version)
        paths = sorted([*bundled, wheel], key=lambda path: path.name)
        listed = json.dumps([f"./wheels/{path.name}" for path in paths])
        added = f"platforms = {json.dumps([target])}\nwheels = {listed}\n"
        files = {f"wheels/{path.name}": path.read_bytes() for path in paths}
        files["blender_manifest.toml"] = manifest.replace("\n[permissions]", f"\n{added}\n[permissions]").encode()
        files["LICENSE"] = (ROOT / "LICENSE").read_bytes()
        files["for_torch.zip"] = zipped(for_torch, Path(folder))
        files |= terms.licences(bundled)
        files |= {source.name: source.read_bytes() for source in (ROOT / "kmtalk_addon").glob("*.py")}
        path = out / f"kmtalk-{version}-{target}.zip"
        archive.write_zip(path, files, stored=(".whl", ".zip"))
    return path


def bundled_wheels(target: str, pythons: Sequence[str]) -> list[Path]:
    """The wheels of others, ready to be bundled; kept in the cache, for packing them takes a minute."""
    chosen = wheels.chosen(wheels.read_lock(), target, pythons)
    how = "".join(Path(module.__file__ or "").read_text(encoding="utf-8") for module in (archive, wheels))
    key = hashlib.sha256(json.dumps([how, list(pythons), [wheel.sha256 for wheel in chosen]]).encode()).hexdigest()[:16]
    folder = wheels.CACHE / f"bundled-{target}-{key}"
    if not folder.exists():
        partial = Path(tempfile.mkdtemp(dir=wheels.CACHE.parent if wheels.CACHE.parent.exists() else None))
        try:
            wheels.bundle(wheels.download(chosen, target), partial)
            shutil.move(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return sorted(folder.glob("*.whl"))


def zipped(files: dict[str, bytes], folder: Path) -> bytes:
    """`files` as a zip."""
    path = folder / "files.zip"
    archive.write_zip(path, files)
    return path.read_bytes()


def this_platform() -> str:
    """Blender's name of the platform that this runs on."""
    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}.get(platform.system(), "linux")
    return f"{system}-{'arm64' if system == 'macos' else 'x64'}"


if __name__ == "__main__":
    main()
