#!/usr/bin/env python3
"""Prepare KMTalk's environment and run it: `python3 run.py demo`, `python3 run.py test`.

Standard library only, and written so that an older Python too reads it far enough to say what is wrong.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "requirements.sha256")
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")

WANTED_PYTHON = (3, 11)  # bpy 5.0.1, Blender as a Python package, has wheels for this version only
PLATFORMS = {("Linux", "x86_64"), ("Windows", "AMD64"), ("Darwin", "arm64")}  # and for these machines
DISK_SPACE = 4 * 1024**3  # bytes: 2.5 GB of packages, and what pip unpacks on the way

COMMANDS = {
    "setup": "prepare .venv only",
    "demo": "animate the demo head: [--audio FILE] [--transcript TEXT] [--mesh MESH]; results in demo_output/",
    "test": "run the tests; arguments go to pytest",
    "check": "run ruff and mypy over the code",
    "blender": "get real Blenders and test the installed extension in them: [4.3] [5.2] [bpy-4.5] [bpy-5.0] [--quick]",
    "benchmark": "measure and print the speed figures",
}
MODULES = {"demo": "demo", "test": "pytest", "blender": "blender_tests", "benchmark": "benchmarks"}
CHECKS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])


class SetupError(Exception):
    """Setting up cannot go on; the message is one sentence with the remedy."""


def check_machine(command):
    """Raise SetupError on a Python or a machine that the pinned packages have no wheels for."""
    version = platform.python_version()
    if sys.version_info[:2] != WANTED_PYTHON:
        found = next((c for c in ("python3.11", "py -3.11") if shutil.which(c.split()[0])), None)
        remedy = f"run `{found} run.py {command}`" if found else "install Python 3.11 and start run.py with it"
        raise SetupError(f"KMTalk needs Python 3.11, but this is Python {version}: {remedy}.")
    machine = (platform.system(), platform.machine())
    if machine not in PLATFORMS or sys.maxsize < 2**32:
        raise SetupError(
            "KMTalk needs 64-bit Linux or Windows on x86, or a Mac with Apple silicon: "
            f"Blender's Python package does not exist for {machine[0]} on {machine[1]}."
        )


def environment():
    """Return the variables for child processes: this checkout importable, nothing of another Python mixed in."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PIP_TARGET", "PIP_PREFIX")}
    variables.update(PYTHONPATH=ROOT, PYTHONNOUSERSITE="1", PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return variables


def venv_works():
    """Tell whether .venv holds a Python 3.11 that starts and has pip; moving or updating Python breaks that."""
    code = f"import sys, pip; sys.exit(sys.version_info[:2] != {WANTED_PYTHON!r} or sys.prefix == sys.base_prefix)"
    try:
        return subprocess.call([PYTHON, "-c", code], stderr=subprocess.DEVNULL, env=environment()) == 0
    except OSError:
        return False


def read_stamp():
    try:
        with open(STAMP) as file:
            return file.read().split()
    except OSError:
        return []


def write_stamp(*words):
    with open(STAMP + ".partial", "w") as file:
        file.write(" ".join(words))
    os.replace(STAMP + ".partial", STAMP)


def prepare():
    """Make .venv from requirements.lock, or reuse it; an interrupted set-up goes on where it stopped."""
    with open(LOCK, "rb") as file:
        wanted = hashlib.sha256(file.read().replace(b"\r\n", b"\n")).hexdigest()
    stamp, works = read_stamp(), venv_works()
    if works and stamp == [wanted, "complete"]:
        return
    print("Preparing .venv: some 120 packages, 1 to 3 GB to download. Needed once; it takes a few minutes.", flush=True)
    # A working .venv without a stamp was made by hand: complete it rather than delete it.
    if not works or (stamp and stamp[0] != wanted):
        make_venv()
    write_stamp(wanted, "incomplete")
    install()
    write_stamp(wanted, "complete")


def make_venv():
    if shutil.disk_usage(ROOT).free < DISK_SPACE:
        raise SetupError(f"There are less than 4 GB free in {ROOT}: free some space and run this again.")
    try:
        if os.path.lexists(VENV):
            shutil.rmtree(VENV)
    except OSError as error:
        raise SetupError(f"Cannot replace {VENV} ({error}): close what uses it, or delete it yourself.") from None
    done = subprocess.run([sys.executable, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        if b"ensurepip" in done.stdout:
            raise SetupError("This Python cannot make environments: install its venv package (python3.11-venv).")
        raise SetupError("Cannot make {}: {}".format(VENV, last_line(done.stdout.decode(errors="replace"))))


def install():
    """Install the lock file, with one status line on a terminal."""
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--progress-bar", "off", "-r", LOCK]
    pip = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, errors="replace",
        env=environment(),
    )  # fmt: skip
    lines = []
    for line in pip.stdout:
        lines.append(line)
        words = line.split()
        if sys.stdout.isatty() and words and words[0] in ("Collecting", "Downloading", "Processing", "Installing"):
            print("\r  " + " ".join(words[:2])[:76].ljust(76), end="", flush=True)
    if sys.stdout.isatty():
        print("\r" + " " * 78, end="\r", flush=True)
    if pip.wait():
        raise SetupError(why_pip_failed("".join(lines)))


def why_pip_failed(log):
    """Turn pip's output into one sentence."""
    again = "run this again; what is there already is kept."
    if "No space left on device" in log or "Errno 28" in log:
        return "The disk is full: free about 4 GB and " + again
    offline = ("NewConnectionError", "Failed to establish", "NameResolutionError", "Max retries", "timed out",
               "Connection broken", "ProxyError", "ConnectionError")  # fmt: skip
    if any(sign in log for sign in offline):
        return "The packages could not be downloaded: check the connection (or pip's proxy setting) and " + again
    return f"Installing the packages failed ({last_line(log)}): mend that and {again}"


def last_line(log):
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no message")


def run(command, arguments):
    """Run a prepared command and return its exit status."""
    if command == "setup":
        print(f"Ready: {PYTHON}")
        return 0
    if command == "check":
        return max(subprocess.call([PYTHON, "-m", *check], cwd=ROOT, env=environment()) for check in CHECKS)
    # Paths in the demo's arguments are relative to where the user is; the tests find their files from the root.
    folder = ROOT if command == "test" else None
    return subprocess.call([PYTHON, "-P", "-m", MODULES[command], *arguments], cwd=folder, env=environment())


def main():
    parser = argparse.ArgumentParser(
        prog="run.py", description="KMTalk: prepare the environment and run it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items()),
    )  # fmt: skip
    parser.add_argument("command", choices=list(COMMANDS), metavar="command", help=", ".join(COMMANDS))
    options = parser.parse_args(sys.argv[1:2])
    try:
        check_machine(options.command)
        prepare()
        return run(options.command, sys.argv[2:])
    except SetupError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrun.py: interrupted.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
