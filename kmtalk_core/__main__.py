"""`python -m kmtalk_core` is the command line."""

from .command.cli import run

if __name__ == "__main__":
    run()
