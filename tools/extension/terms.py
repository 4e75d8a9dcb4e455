"""The terms of everything that the extension bundles, as files of the folder `licenses` in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from .archive import read_zip
from .wheels import ROOT, BuildError

TERMS = Path(__file__).with_name("terms.toml")
TEXTS = re.compile(r"(?:licen[cs]es?|copying|notices?|thirdpartynotices)[^/]*$", re.IGNORECASE)
LIBRARY = re.compile(r"(?:\.libs|\.dylibs)/(?:lib)?([^/]+)$")
HEAD = """What the KMTalk extension bundles
=================================

KMTalk itself is GPL-3.0-or-later (LICENSE). The parts below are the work of others, taken unchanged from the Python
Package Index, except that tests and files for building were left out, and that builds for several Pythons were put
into one. Whoever passes this extension on is to offer their source like its own; it is at the addresses below, where
also the holders of the copyright are named. The texts: LICENSE (version 3 of the GPL, which "GPL-2.0-or-later" and the
choice of the GPL permit), the packages' folders beside this file, and texts/ (of the LGPL version 2.1).
"""


def licences(wheels: Iterable[Path]) -> dict[str, bytes]:
    """Name in the extension → contents; raises BuildError for a package or library without an entry in terms.toml."""
    known = tomllib.loads(TERMS.read_text(encoding="utf-8"))
    lines, files = [HEAD], {}
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        contents = read_zip(wheel)
        if name not in known["package"]:
            raise BuildError(f"Name the terms of {name} in {TERMS.relative_to(ROOT)} first.")
        entry = known["package"][name]
        lines.append(f"{name} {version}: {entry['terms']}\n    {entry['what']}\n    {entry['source']}")
        lines += [
            f"    with {row}" for row in sorted({_library(path, known["library"]) for path in _libraries(contents)})
        ]
        lines.append("")
        for path, text in contents.items():
            if TEXTS.search(path) and not path.endswith(".py"):
                files[f"licenses/{name}/{path.split('/')[-1]}"] = text
        if "text" in entry:  # that of KMTalk itself
            files[f"licenses/{name}/{entry['text']}"] = (ROOT / entry["text"]).read_bytes()
        if not any(path.startswith(f"licenses/{name}/") for path in files):
            raise BuildError(f"{wheel.name} brings no text of its licence; add it.")
    files |= {
        f"licenses/texts/{path.name}": path.read_bytes() for path in sorted(TERMS.with_name("texts").glob("*.txt"))
    }
    files["licenses/THIRD_PARTY.txt"] = "\n".join(lines).encode()
    files["licenses/NOTICE"] = (ROOT / "kmtalk_core" / "assets" / "NOTICE").read_bytes()
    files["licenses/cmudict_LICENSE.txt"] = (ROOT / "kmtalk_core" / "assets" / "cmudict_LICENSE.txt").read_bytes()
    return files


def _libraries(contents: Iterable[str]) -> list[str]:
    return [found[1] for name in contents if (found := LIBRARY.search(name))]


def _library(file: str, known: Mapping[str, list[str]]) -> str:
    fitting = [name for name in known if file.lower().startswith(name.lower())]
    if not fitting:
        raise BuildError(f"Name the terms of the library {file} in {TERMS.relative_to(ROOT)} first.")
    terms, project, address = known[max(fitting, key=len)]
    return f"{project}: {terms}, {address}"
