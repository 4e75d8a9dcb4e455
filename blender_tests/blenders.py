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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SUITES = {"4.3": "trixie", "5.2": "sid"}  # Blender → the suite of Debian that has it
TOOLS = ("mmdebstrap", "bubblewrap", "xvfb", "xdotool")
# numpy and cattr: without them Debian's Blender has no sound and no extensions. The others: a window, and the tests.
PACKAGES = (
    "blender", "python3-numpy", "python3-cattr", "python3-requests", "python3-pytest", "python3-venv", "python3-pip",
    "libegl1", "libegl-mesa0", "libgl1-mesa-dri", "xvfb", "xdotool", "imagemagick",
)  # fmt: skip
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kmtalk" / "blenders"


class NoBlender(Exception):
    """A Blender cannot be had; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Blender:
    """Blender in a root of Debian at `root`; its processes see the system only through the folders they are given."""

    name: str
    root: Path

    def command(
        self, arguments: Sequence[str | Path], home: Path, folders: Sequence[Path], variables: Mapping[str, str]
    ) -> list[str]:
        """How to run a program of the root, with an empty environment and the home folder `home`.

        It may write to `home` and `folders`, which it sees at the same paths. /tmp is its own.
        """
        binds = [str(word) for folder in (home, *folders) for word in ("--bind", folder, folder)]
        given = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LIBGL_ALWAYS_SOFTWARE": "1"}
        settings = [word for name, value in {**given, **variables}.items() for word in ("--setenv", name, value)]
        isolation = ["--unshare-pid", "--die-with-parent", "--clearenv", "--chdir", str(home)]
        screens = ["--bind-try", "/tmp/.X11-unix", "/tmp/.X11-unix"]
        root = ["--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
        return ["bwrap", *root, *screens, *binds, *settings, *isolation, *(str(word) for word in arguments)]


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
    programs = {"bubblewrap": "bwrap", "xvfb": "Xvfb"}
    missing = [tool for tool in TOOLS if shutil.which(programs.get(tool, tool)) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoBlender(f"Install {', '.join(missing)} first, or run this as root on Debian.")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, env=quiet)


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


def mirror() -> str:
    """Where this system takes its own packages from."""
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
    return next((address for address in found if "security" not in address), "http://deb.debian.org/debian")


if __name__ == "__main__":
    try:
        for asked in sys.argv[1:] or SUITES:
            print(get(asked).root)
    except NoBlender as error:
        sys.exit(f"blender_tests: {error}")
