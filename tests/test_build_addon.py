"""The extension as build_addon.py makes it, with small stand-ins for the wheels of others."""

import csv
import io
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_addon
from tools.extension import archive, core, terms, wheels
from tools.extension.wheels import BuildError, Wheel

LINUX = "manylinux_2_28_x86_64"


def make_wheel(folder: Path, name: str, python: str, files: dict[str, bytes], tags: str = "") -> tuple[Wheel, Path]:
    """A wheel as others build them, and its line of the lock."""
    cp = "cp" + python.replace(".", "")
    path = archive.write_wheel(folder, f"{name}-1.0", tags or f"{cp}-{cp}-{LINUX}", files, b"Name: x\n", pure=False)
    return Wheel(path.name, wheels.sha256(path), (python,), ("linux-x64",)), path


def contents(path: Path) -> dict[str, bytes]:
    return archive.read_zip(path)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """The extension around one small wheel of others."""
    _, wheel = make_wheel(tmp_path, "scipy", "3.11", {"scipy/a.py": b"1", "scipy-1.0.dist-info/LICENSE.txt": b"BSD"})
    monkeypatch.setattr(build_addon, "bundled_wheels", lambda target, pythons: [wheel])
    return build_addon.build("linux-x64", wheels.PYTHONS, tmp_path)


def test_the_same_sources_give_the_same_bytes(built, tmp_path):
    before = built.read_bytes()
    for path in (build_addon.ROOT / "kmtalk_addon").glob("*.py"):
        path.touch()  # another time of change is no change
    assert build_addon.build("linux-x64", wheels.PYTHONS, tmp_path).read_bytes() == before


def test_the_manifest_names_the_wheels_and_the_platform(built):
    files = contents(built)
    manifest = tomllib.loads(files["blender_manifest.toml"].decode())
    assert manifest["platforms"] == ["linux-x64"]
    assert {f"./{name}" for name in files if name.endswith(".whl")} == set(manifest["wheels"])
    assert manifest["permissions"]["files"]


def test_the_core_comes_without_networks_and_all_of_it_together(built):
    with zipfile.ZipFile(built) as extension:
        (name,) = (n for n in extension.namelist() if n.startswith("wheels/kmtalk-"))
        wheel = zipfile.ZipFile(io.BytesIO(extension.read(name))).namelist()
        for_torch = zipfile.ZipFile(io.BytesIO(extension.read("for_torch.zip"))).namelist()
    assert "kmtalk_core/assets/kmtalk_compact.npz" in wheel and "kmtalk_core/service/worker.py" in wheel
    assert "kmtalk_core/networks/kmtalk.py" in for_torch
    assert not [n for n in wheel if "networks" in n or "torch_backend" in n or "__pycache__" in n]
    assert {n for n in wheel if n.startswith("kmtalk_core/")} | set(for_torch) == set(core.core_files())


def test_the_cores_version_follows_its_contents(tmp_path, monkeypatch):
    before = core.write_core(tmp_path, "0.1.0")[0].name
    assert core.write_core(tmp_path, "0.1.0")[0].name == before
    changed = {**core.core_files(), "kmtalk_core/errors.py": b"# changed"}
    monkeypatch.setattr(core, "core_files", lambda: changed)
    assert core.write_core(tmp_path, "0.1.0")[0].name != before, "Blender would keep the old files"


def test_a_wheel_is_what_installers_expect(tmp_path):
    path = archive.write_wheel(tmp_path, "a-1", "cp311.cp313-cp311.cp313-any", {"a/b.py": b"x"}, b"Name: a\n", False)
    files = contents(path)
    assert b"Tag: cp311-cp311-any\nTag: cp313-cp313-any\n" in files["a-1.dist-info/WHEEL"]
    rows = list(csv.reader(files["a-1.dist-info/RECORD"].decode().splitlines()))
    assert {row[0] for row in rows} == set(files)
    assert ["a/b.py", "1"] in [[row[0], row[2]] for row in rows]


def test_builds_for_several_pythons_share_their_files(tmp_path):
    shared = {"p/__init__.py": b"same", "p/tests/test_x.py": b"t", "p/x.pyi": b"t"}
    old = make_wheel(tmp_path, "p", "3.11", {**shared, "p/x.cpython-311.so": b"1", "p/__config__.py": b"built here"})
    new = make_wheel(tmp_path, "p", "3.13", {**shared, "p/x.cpython-313.so": b"2", "p/__config__.py": b"built there"})
    (tmp_path / "out").mkdir()
    (made,) = wheels.bundle(dict([old, new]), tmp_path / "out")
    assert made.name == f"p-1.0-cp311.cp313-cp311.cp313-{LINUX}.whl"
    names = {name for name in contents(made) if not name.startswith("p-1.0.dist-info")}
    assert names == {"p/__init__.py", "p/x.cpython-311.so", "p/x.cpython-313.so", "p/__config__.py"}


def test_builds_that_contradict_each_other_stay_apart(tmp_path):
    old = make_wheel(tmp_path, "p", "3.11", {"p/x.so": b"1"})
    new = make_wheel(tmp_path, "p", "3.13", {"p/x.so": b"2"})
    (tmp_path / "out").mkdir()
    assert len(wheels.bundle(dict([old, new]), tmp_path / "out")) == 2


def test_modules_without_a_pythons_name_get_one(tmp_path):
    name = "onnxruntime/capi/onnxruntime_pybind11_state.pyd"
    old = make_wheel(tmp_path, "onnxruntime", "3.11", {name: b"1", "onnxruntime/capi/onnxruntime.dll": b"x"})
    new = make_wheel(tmp_path, "onnxruntime", "3.13", {name: b"2"})
    (tmp_path / "out").mkdir()
    (made,) = wheels.bundle(dict([old, new]), tmp_path / "out")
    modules = {n.rsplit("/")[-1] for n in contents(made) if n.startswith("onnxruntime/")}
    assert modules == {f"onnxruntime_pybind11_state.cp{v}-win_amd64.pyd" for v in (311, 313)}


def test_a_file_with_another_hash_is_not_bundled(tmp_path, monkeypatch):
    wheel, path = make_wheel(tmp_path, "p", "3.11", {"p/x.py": b"1"})
    monkeypatch.setattr(wheels, "CACHE", tmp_path)
    assert wheels.download([wheel], "linux-x64")[wheel] == path
    path.write_bytes(b"another")
    monkeypatch.setattr(wheels, "_fetch", lambda wheel, target: None)
    with pytest.raises(BuildError, match=r"is not what extension\.lock names"):
        wheels.download([wheel], "linux-x64")


def test_the_lock_has_all_for_all_platforms_and_pythons():
    lock = wheels.read_lock()
    assert all(len(wheel.sha256) == 64 for wheel in lock)
    for target in wheels.PLATFORMS:
        for python in wheels.PYTHONS:
            found = wheels.chosen(lock, target, [python])
            assert sorted(wheel.name for wheel in found) == sorted(wheels.PACKAGES), (target, python)
    assert "pocketsphinx" not in {w.name for w in wheels.chosen(lock, "linux-x64", ["3.14"])}
    with pytest.raises(BuildError, match=r"no av for Python 3\.9"):
        wheels.chosen(lock, "linux-x64", ["3.9"])


def test_every_part_has_its_terms(tmp_path):
    files = {"av.libs/libx264-d65.so.165": b"", "av-1.0.dist-info/licenses/LICENSE.txt": b"BSD"}
    _, wheel = make_wheel(tmp_path, "av", "3.11", files)
    found = terms.licences([wheel])
    assert b"x264: GPL-2.0-or-later" in found["licenses/THIRD_PARTY.txt"]
    assert found["licenses/av/LICENSE.txt"] == b"BSD" and found["licenses/texts/LGPL-2.1.txt"]
    _, wheel = make_wheel(tmp_path, "av", "3.11", {**files, "av.libs/libnobody-1.so": b""})
    with pytest.raises(BuildError, match=r"terms of the library nobody-1\.so"):
        terms.licences([wheel])
    _, wheel = make_wheel(tmp_path, "strange", "3.11", files)
    with pytest.raises(BuildError, match="terms of strange"):
        terms.licences([wheel])


def test_every_licence_that_is_named_has_its_text():
    texts = {path.stem for path in Path(terms.__file__).with_name("texts").glob("*.txt")}
    for spdx, _, _ in tomllib.loads(terms.TERMS.read_text("utf-8"))["library"].values():
        for licence in spdx.replace(" WITH ", " AND ").replace(" OR ", " AND ").split(" AND "):
            family = licence.removesuffix("-or-later").removesuffix("-Clear")
            assert family.startswith(("GPL", "LGPL", "AOM")) or family in texts, licence
