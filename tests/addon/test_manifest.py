"""The extension's manifest, as Blender reads it."""

import tomllib
from pathlib import Path

import build_addon
import kmtalk_addon
from kmtalk_core import __version__


def test_the_manifest_fits_blenders_rules_and_the_core():
    manifest = tomllib.loads((Path(kmtalk_addon.__file__).parent / "blender_manifest.toml").read_text("utf-8"))
    assert manifest["version"] == __version__
    assert manifest["blender_version_min"] == "4.2.0"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    short = [manifest["tagline"], *manifest["permissions"].values()]
    assert all(len(text) <= 64 and text[-1].isalnum() for text in short)


def test_each_python_gets_packages_that_load_there():
    oldest, newest, debians = (build_addon.requirements(python) for python in ("3.11", "3.13", "3.14"))
    assert "scipy==1.15.3" in oldest, "the last to load with the numpy of Blender 4.2"
    assert "scipy==1.15.3" not in newest
    assert [name.split("==")[0] for name in newest] == list(build_addon.PACKAGES)
    assert not any(name.startswith("pocketsphinx") for name in debians)
