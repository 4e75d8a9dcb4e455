"""Real Blenders to test in, from Debian's archive: each in a folder of its own, nothing of this system is touched.

    python -m blender_tests.blenders 4.3 5.2

Needs Linux on x86, root, and some 1.5 GB and two minutes each; what was got once is kept in the user's cache. Debian's
unstable suite moves, so that its Blender may be newer than asked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUITES = {"4.3": "trixie", "5.2": "sid"}  # Blender → the suite of Debian that has it
TOOLS = ("mmdebstrap", "bubblewrap")
# numpy and cattr: without them Debian's Blender has no sound and no extensions. The others: a window, and the tests.
PACKAGES = (
    "blender", "python3-numpy", "python3-cattr", "python3-requests", "python3-pytest", "python3-venv", "python3-pip",
    "libegl1", "libegl-mesa0", "libgl1-mesa-dri", "xvfb", "xdotool", "imagemagick",
)  # fmt: skip
PYTEST_BLENDER = "3.0.8"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kmtalk" / "blenders"


class NoBlender(Exception):
    """A Blender cannot be had; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Blender:
    """Blender in a root of Debian at `root`; its processes see the system only through the folders they are given."""

    name: str
    root: Path

    def command(
        self, arguments: Sequence[str | Path], home: Path, folders: Sequence[Path] = (), **settings: str
    ) -> list[str]:
        """How to run a program of the root, without network, with an empty environment and the home folder `home`.

        It may write to `home`, and read `folders`, which it sees at the same paths, below /tmp. `settings` are
        variables of the environment, and `tmp_bytes`, the size of /tmp, and `home_bind`, --ro-bind for a home that
        cannot be written.
        """
        size = ["--size", settings.pop("tmp_bytes")] if "tmp_bytes" in settings else []
        binds = [str(word) for folder in folders for word in ("--ro-bind", folder, folder)]
        binds += [settings.pop("home_bind", "--bind"), str(home), str(home)]
        given = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LIBGL_ALWAYS_SOFTWARE": "1"}
        variables = [word for name, value in {**given, **settings}.items() for word in ("--setenv", name, value)]
        isolation = ["--unshare-pid", "--unshare-net", "--die-with-parent", "--clearenv", "--chdir", str(home)]
        root = ["--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc", *size, "--tmpfs", "/tmp"]
        return ["bwrap", *root, *binds, *isolation, *variables, *(str(word) for word in arguments)]


def get(name: str) -> Blender:
    """The Blender `name`, a key of SUITES, downloaded if it is not there yet."""
    if name not in SUITES:
        raise NoBlender(f"There is no Blender {name} to get; choose {' or '.join(SUITES)}.")
    root = CACHE / SUITES[name]
    need_tools()
    if not root.exists():
        download(SUITES[name], root)
    return Blender(name, root)


def need_tools() -> None:
    """Install what is missing of TOOLS."""
    programs = {"bubblewrap": "bwrap"}
    missing = [tool for tool in TOOLS if shutil.which(programs.get(tool, tool)) is None]
    if missing:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise NoBlender(f"Install {', '.join(missing)} first, or run this as root on Debian.")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        if any(subprocess.run(c, check=False, env=quiet).returncode for c in (["apt-get", "update", "-qq"], install)):
            raise NoBlender(f"{', '.join(missing)} could not be installed; see above.")
    alone = ["bwrap", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    if subprocess.run(alone, capture_output=True, check=False).returncode:
        raise NoBlender("This system does not let processes be put apart (bwrap); test on another one.")


def download(suite: str, root: Path) -> None:
    """Make a root of `suite` at `root`, whole or not at all."""
    partial = root.with_name(f"{root.name}.{os.getpid()}.partial")
    root.parent.mkdir(parents=True, exist_ok=True)
    command = [
        "mmdebstrap", "--quiet", "--variant=apt", "--mode=root", "--aptopt=Acquire::Check-Valid-Until \"false\"",
        f"--include={','.join(PACKAGES)}", suite, partial, mirror(),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise NoBlender(f"Debian's {suite} could not be made: {done.stderr.strip()[-400:]}")
        partial.rename(root)
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def pytest_blender() -> Path:
    """A folder with pytest-blender, which runs tests inside of Blender; to be imported by the root's own Python."""
    folder = CACHE.parent / f"pytest_blender-{PYTEST_BLENDER}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as wheels:
            wanted = ["download", "-qq", "--no-deps", "--dest", wheels, f"pytest-blender=={PYTEST_BLENDER}"]
            if subprocess.run([sys.executable, "-m", "pip", *wanted], check=False).returncode:
                raise NoBlender("pytest-blender cannot be downloaded; check the connection or pip's settings.")
            with zipfile.ZipFile(next(Path(wheels).glob("*.whl"))) as wheel:
                wheel.extractall(folder)
    return folder


def mirror() -> str:
    """Where this system takes its own packages from."""
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
    address = next((address for address in found if "security" not in address), None)
    if address is None:
        raise NoBlender("This system takes its packages from nowhere; run this on Debian, with its package lists.")
    return address


if __name__ == "__main__":
    try:
        for asked in sys.argv[1:] or SUITES:
            print(get(asked).root)
    except NoBlender as error:
        sys.exit(f"blender_tests: {error}")
