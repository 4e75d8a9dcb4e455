"""Where Whisper and the Montreal Forced Aligner are on this machine.

They are the user's own installations, in this Python, in a conda environment or on the PATH; none is imported here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import KMTalkError
from .guarded import NO_WINDOW, WINDOWS, foreign_environment
from .tools import Tools

OLDEST_MFA = (2, 2, 12)  # works without a database server, and has today's command line
ENGINES = ("openai-whisper", "faster-whisper")  # the paper's first

_FOLDERS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "mambaforge3", "micromamba", "miniconda", "anaconda")
_PROBE_SECONDS = 30.0
_PROBE = """
import importlib.metadata as m, json
found = {}
for name in ("openai-whisper", "faster-whisper"):
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Recogniser:
    """A Python that has Whisper: the engine's package and its version."""

    python: Path
    engine: str
    version: str


@dataclass(frozen=True)
class Aligner:
    """MFA's program and its version, (0,) where it could not be told."""

    program: Path
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        return ".".join(map(str, self.version)) if any(self.version) else "of unknown version"


def find_recognisers(tools: Tools) -> list[Recogniser]:
    """Every Whisper at hand, the one to use first; raises KMTalkError, with the remedy, where there is none."""
    if tools.whisper_python:
        python = _python_of(Path(tools.whisper_python).expanduser())
        if python is None:
            raise KMTalkError(f"There is no Python at {tools.whisper_python}; correct KMTALK_WHISPER_PYTHON.")
        if found := _probed(python):
            return found
        raise KMTalkError(f"{python} has no Whisper; run `{python} -m pip install openai-whisper`.")
    found = _own_recognisers()
    seen = {Path(sys.executable).absolute()}
    for python in _other_pythons():
        if python.absolute() not in seen:
            seen.add(python.absolute())
            found += _probed(python)
    if not found:
        raise KMTalkError(
            "Whisper is not installed; run `pip install openai-whisper` (or faster-whisper) in any Python, and name"
            " that Python in KMTALK_WHISPER_PYTHON if it is not found by itself."
        )
    return sorted(found, key=lambda r: ENGINES.index(r.engine))


def find_mfa(tools: Tools) -> Aligner:
    """The MFA to use; raises KMTalkError, with the remedy, where there is none or it is too old."""
    if tools.mfa:
        program = _mfa_at(tools.mfa)
        if program is None:
            raise KMTalkError(f"There is no MFA at {tools.mfa}; name its program or its conda environment.")
    else:
        program = next(_mfa_programs(), None)
        if program is None:
            raise KMTalkError(
                "The Montreal Forced Aligner is not installed; run `conda create -n aligner -c conda-forge"
                " montreal-forced-aligner`, and name that environment in KMTALK_MFA if it is not found by itself."
            )
    aligner = Aligner(program, mfa_version(program))
    if any(aligner.version) and aligner.version < OLDEST_MFA:
        oldest = ".".join(map(str, OLDEST_MFA))
        raise KMTalkError(
            f"MFA {aligner.label} is too old, {oldest} is needed; run `conda update -c conda-forge"
            " montreal-forced-aligner`."
        )
    return aligner


def mfa_version(program: Path) -> tuple[int, ...]:
    """By what conda or pip noted beside the program, which is quick, else by asking it; (0,) if it does not say."""
    prefix = program.parent.parent
    notes = [*prefix.glob("conda-meta/montreal-forced-aligner-*.json")]
    notes += [*_site_packages(prefix, "montreal_forced_aligner-*.dist-info")]
    for note in notes:
        if match := re.search(r"aligner-(\d+(?:\.\d+)+)", note.name):
            return _numbers(match[1])
    said = _output([str(program), "version"], foreign_environment(program))
    match = re.search(r"(\d+(?:\.\d+)+)", said)
    return _numbers(match[1]) if match else (0,)


def mfa_root() -> Path:
    """Where MFA keeps its models (its variable MFA_ROOT_DIR)."""
    return Path(os.environ.get("MFA_ROOT_DIR") or "~/Documents/MFA").expanduser()


def mfa_models(kind: str) -> list[str]:
    """Names of the installed models of a kind: dictionary, acoustic or g2p."""
    folder = mfa_root() / "pretrained_models" / kind
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted({f.stem for f in files if f.suffix in (".zip", ".dict", ".txt", ".yaml") or f.is_dir()})


def conda_environments() -> list[Path]:
    """Prefixes of the conda environments of this user: from conda's own list, the usual folders, else conda itself."""
    prefixes: list[Path] = []
    if active := os.environ.get("CONDA_PREFIX"):
        prefixes.append(Path(active))
    noted = Path("~/.conda/environments.txt").expanduser()
    if noted.is_file():
        lines = noted.read_text(encoding="utf-8", errors="replace").splitlines()
        prefixes += [Path(line.strip()) for line in lines if line.strip()]
    roots = [Path.home() / name for name in _FOLDERS] + [Path.home() / ".local/share/mamba", Path.home() / ".conda"]
    roots += [Path(os.environ[name]) for name in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT") if os.environ.get(name)]
    shared = ("LOCALAPPDATA", "PROGRAMDATA") if WINDOWS else ()
    roots += [Path(os.environ[name]) / folder for name in shared if name in os.environ for folder in _FOLDERS]
    if not WINDOWS:
        roots += [Path("/opt") / name for name in ("conda", *_FOLDERS)]
        roots += [Path("/opt/homebrew/Caskroom") / name / "base" for name in ("miniconda", "miniforge", "mambaforge")]
    for root in roots:
        prefixes += [root, *sorted(root.glob("envs/*"))]
    found = [prefix for prefix in dict.fromkeys(prefixes) if (prefix / "conda-meta").is_dir()]
    conda = os.environ.get("CONDA_EXE") or shutil.which("conda") or shutil.which("mamba") or shutil.which("micromamba")
    if not found and conda:
        try:
            listed = json.loads(_output([conda, "env", "list", "--json"], dict(os.environ)))["envs"]
        except (ValueError, KeyError, TypeError):
            return []
        found = [Path(prefix) for prefix in listed]
    return found


def _own_recognisers() -> list[Recogniser]:
    import importlib.metadata  # it takes its time, and few ask for it

    found = []
    for engine in ENGINES:
        try:
            found.append(Recogniser(Path(sys.executable), engine, importlib.metadata.version(engine)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _other_pythons() -> Iterator[Path]:
    """Pythons that may have Whisper: of its own commands, of conda environments, and on the PATH."""
    for command in ("whisper", "whisper-ctranslate2"):
        if (program := shutil.which(command)) and (python := _python_of(Path(program).resolve().parent.parent)):
            yield python
    for prefix in conda_environments():
        packages = (*_site_packages(prefix, "openai_whisper-*"), *_site_packages(prefix, "faster_whisper-*"))
        if packages and (python := _python_of(prefix)):
            yield python
    for name in ("python3", "python"):
        # The Windows Store's stand-in for a missing Python lies in WindowsApps, and opens the store.
        if (program := shutil.which(name)) and "WindowsApps" not in program:
            yield Path(program)


def _probed(python: Path) -> list[Recogniser]:
    try:
        versions = json.loads(_output([str(python), "-c", _PROBE], foreign_environment(python)))
    except ValueError:
        return []
    return [Recogniser(python, engine, versions[engine]) for engine in ENGINES if engine in versions]


def _mfa_at(given: str) -> Path | None:
    path = Path(given).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        return _mfa_in(path)
    if shutil.which(given):
        return Path(str(shutil.which(given)))
    return next((p for prefix in conda_environments() if prefix.name == given and (p := _mfa_in(prefix))), None)


def _mfa_programs() -> Iterator[Path]:
    if found := shutil.which("mfa"):
        yield Path(found)
    for prefix in (Path(sys.prefix), *conda_environments()):
        if program := _mfa_in(prefix):
            yield program


def _mfa_in(prefix: Path) -> Path | None:
    program = prefix / "Scripts" / "mfa.exe" if WINDOWS else prefix / "bin" / "mfa"
    return program if program.is_file() else None


def _python_of(path: Path) -> Path | None:
    """The interpreter that `path` is, or that the environment in this folder has."""
    if path.is_file():
        return path
    names = ("python.exe", "Scripts/python.exe") if WINDOWS else ("bin/python3", "bin/python")
    return next((path / name for name in names if (path / name).is_file()), None)


def _site_packages(prefix: Path, pattern: str) -> Iterator[Path]:
    yield from prefix.glob(f"lib/python3*/site-packages/{pattern}")
    yield from prefix.glob(f"Lib/site-packages/{pattern}")


def _output(command: list[str], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_SECONDS, env=environment,
            creationflags=NO_WINDOW,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
