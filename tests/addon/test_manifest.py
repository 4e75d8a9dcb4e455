"""The extension's manifest, as Blender reads it."""

import tomllib
from pathlib import Path

import kmtalk_addon
from kmtalk_core import __version__


def test_the_manifest_fits_blenders_rules_and_the_core():
    manifest = tomllib.loads((Path(kmtalk_addon.__file__).parent / "blender_manifest.toml").read_text("utf-8"))
    assert manifest["version"] == __version__
    assert manifest["blender_version_min"] == "4.2.0"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    short = [manifest["tagline"], *manifest["permissions"].values()]
    assert all(len(text) <= 64 and text[-1].isalnum() for text in short)
    assert set(manifest["permissions"]) == {"files", "network", "clipboard"}
