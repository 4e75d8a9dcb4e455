"""Test KMTalk as users get it: build the extension, install it with Blender's own command, work with it, remove it.

    python -m blender_tests                  # in all Blenders that can be had here, which are got first
    python -m blender_tests 4.3 --keep       # in one; the profile is kept to look at
    python -m blender_tests bpy-4.5          # as an add-on of Blender as a Python module

For each Blender: install an older version, put the new one over it, run the tests of this folder inside, run the
command line, open a window and press the buttons there, and uninstall. Nothing has network access meanwhile.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import blenders, extension, journey, modules

KNOWN = (*blenders.SUITES, *modules.VERSIONS)
NOT_HERE = 3  # exit status where a Blender cannot be had


def main() -> int:
    """Test in the Blenders that were asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="run.py blender", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("blenders", nargs="*", metavar="NAME", help=f"{', '.join(KNOWN)} (all)")
    parser.add_argument("--quick", action="store_true", help="leave out upgrading and what goes wrong")
    parser.add_argument("--keep", action="store_true", help="keep the profiles and logs")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kmtalk-blender-tests-", dir="/tmp"))
    asked = options.blenders or KNOWN
    failed = []
    try:
        new = extension.build(folder, for_others="5.2" in asked)
        old = extension.older(new, folder)
        for name in asked:
            if name in modules.VERSIONS:
                failed += run(name, modules.steps(name, folder / name, new))
                continue
            travel = journey.Journey(blenders.get(name), folder / name, old, new)
            failed += run(name, travel.steps(options.quick))
    except blenders.NoBlender as error:
        print(f"blender_tests: {error}", file=sys.stderr)
        return NOT_HERE
    except extension.BuildError as error:
        print(f"blender_tests: {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep or failed:
            print(f"The profiles, logs and pictures are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("Failed: " + ", ".join(failed) if failed else "KMTalk works in these Blenders.")
    return 1 if failed else 0


def run(name: str, steps: list[tuple[str, Callable[[], str]]]) -> list[str]:
    """Do the steps, and print a line for each; returns the names of those that failed."""
    failed = []
    for title, step in steps:
        begin = time.perf_counter()
        try:
            outcome, mark = step(), "ok"
        except (journey.Failed, subprocess.TimeoutExpired, OSError) as error:
            outcome, mark = str(error), "FAILED"
            failed.append(f"{title} in Blender {name}")
        print(f"{name}  {mark:6} {title}: {outcome} ({time.perf_counter() - begin:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
