"""The process of the command line: `python -m kmtalk_core`, or `kmtalk`."""

import gc
from typing import NoReturn

GARBAGE = 100_000  # objects between two looks for garbage; Python's 700 take a twentieth of a line's time at start


def run() -> NoReturn:
    """One command of `sys.argv`, and then the end."""
    gc.set_threshold(GARBAGE)  # before all that is imported
    from .command.cli import main
    from .command.endings import leave

    leave(main())


if __name__ == "__main__":
    run()
