"""What a user does with the extension, in one Blender, from the older version to the removal."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kmtalk_core import __version__

from .blenders import Blender, pytest_blender
from .extension import OLDER, PYTHONS, as_shipped

TESTS = Path(__file__).resolve().parent
ID = "bl_ext.user_default.kmtalk"
LIMIT = 300  # s that a step may take on a slow machine


class Failed(Exception):
    """A step did not do what it should; the message says what it did."""


FORMATS = {"fbx": "import_scene.fbx", "usdc": "wm.usd_import", "abc": "wm.alembic_import", "glb": "import_scene.gltf"}
COMES_BACK = """
import bpy, pathlib
bpy.ops.wm.read_homefile(use_empty=True)
settings = dict(as_background_job=False) if "{importer}" == "wm.alembic_import" else dict()
bpy.ops.{importer}(filepath=str(next(pathlib.Path("given").glob("*.{name}")).resolve()), **settings)
obj = next(o for o in bpy.data.objects if o.type == "MESH")
seen = []
for frame in range(0, 300, 12):
    bpy.context.scene.frame_set(frame)
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    seen.append([tuple(v.co) for v in mesh.vertices])
print("moves", max(abs(a - b) for pose in seen for p, q in zip(pose, seen[0]) for a, b in zip(p, q)) > 1e-3)
"""
LIBRARY = """
import bpy, pathlib
with bpy.data.libraries.load(str(next(pathlib.Path("given").glob("*_actions.blend")).resolve())) as (source, target):
    target.actions = list(source.actions)
(action,) = target.actions
print("asset", action.asset_data is not None, tuple(action.preview.image_size))
"""


class Journey:
    """The steps, on a profile in the new folder `home`. Each returns what was seen, or raises Failed."""

    def __init__(self, blender: Blender, home: Path, old: Path, new: Path) -> None:
        self.blender, self.home, self.old, self.new = blender, home, old, new
        home.mkdir(parents=True)
        self.logs = home / "logs"
        self.logs.mkdir()
        self.tests = home / "tests"  # away from the checkout, whose kmtalk_core must not be found
        self.tests.mkdir()
        shutil.copytree(TESTS, self.tests / "blender_tests", ignore=shutil.ignore_patterns("__pycache__"))

    def steps(self, quick: bool = False) -> list[tuple[str, Callable[[], str]]]:
        """Titles and functions, in order; only the usual way if `quick`."""
        usual: list[tuple[str, Callable[[], str]]] = [
            ("tests inside", self.tests_inside),
            ("command line", self.command_line),
            ("exporters", self.exporters),
            ("window", self.window),
            ("landmarks in a window", self.landmarks),
            ("lines and scenes in a window", self.lines),
            ("key motions alone and overrides in a window", self.views),
            ("trouble in a window", self.trouble),
            ("uninstall", self.uninstall),
        ]
        if quick:
            return [("validate", self.validate), ("install", self.install_new), *usual]
        return [
            ("validate", self.validate),
            ("install an older version", self.install_older),
            ("upgrade", self.upgrade),
            ("enable", self.enable),
            *usual[:3],
            ("hostile surroundings", self.hostile_surroundings),
            ("profile that cannot be written", self.read_only_profile),
            ("full disk", self.full_disk),
            ("three Blenders at once", self.several_at_once),
            ("Python without wheels", self.without_wheels),
            *usual[3:],
        ]

    def validate(self) -> str:
        self.run("--command", "extension", "validate", self.new)
        return f"{self.new.name}, {self.new.stat().st_size / 1e6:.0f} MB"

    def install_older(self) -> str:
        return self.install(self.old, OLDER)

    def install_new(self) -> str:
        return self.install(self.new, __version__)

    def upgrade(self) -> str:
        done = self.install_new()
        left = [p.name for p in self.home.rglob("*") if p.name == "only_in_the_older_one.py" or p.match(f"*-{OLDER}.*")]
        expect(not left, f"parts of the older version are left: {left}")
        return done

    def install(self, extension: Path, version: str) -> str:
        self.run("--command", "extension", "install-file", "-r", "user_default", "--enable", extension)
        code = f"import sys, kmtalk_core; print('core', kmtalk_core.__version__, '{ID}' in sys.modules)"
        said = self.run("-b", "--python-exit-code", "1", "--python-expr", code)
        expect(f"core {version} True" in said, f"the core is another one: {said[-300:]}")
        return version

    def enable(self) -> str:
        """How long enabling takes when nothing of it is imported yet."""
        code = (
            "import sys, time, addon_utils; addon_utils.disable(NAME)\n"
            "for name in [n for n in sys.modules if 'kmtalk' in n]: del sys.modules[name]\n"
            "begin = time.perf_counter(); addon_utils.enable(NAME); print('took', time.perf_counter() - begin)"
        ).replace("NAME", repr(ID))
        said = self.run("-b", "--python-exit-code", "1", "--python-expr", code)
        return f"{1000 * float(re.findall(r'took ([0-9.]+)', said)[-1]):.0f} ms"

    def tests_inside(self) -> str:
        """pytest-blender runs the tests of this folder."""
        plugin = self.tests / "plugin"
        shutil.copytree(pytest_blender(), plugin)
        arguments = ["python3", "-m", "pytest", "-c", self.tests / "blender_tests" / "pytest.ini"]
        arguments += ["--rootdir", self.tests, "--blender-executable", "/usr/bin/blender"]
        said = self.start([*arguments, self.tests / "blender_tests"], PYTHONPATH=str(plugin))
        return last_line(said)

    def exporters(self) -> str:
        """What Blender's exporters write moves when it comes back; the library has an Action asset with a picture."""
        if not (self.home / "out.blend").is_file():
            self.make_file("line.blend")
            self.generate()
        code = "import bpy; print('built with', bpy.app.build_options.usd, bpy.app.build_options.alembic, '.')"
        usd, alembic = (
            word == "True" for word in self.run("-b", "--python-expr", code).split("built with ")[1].split()[:2]
        )
        asked = [name for name in FORMATS if {"usdc": usd, "abc": alembic}.get(name, True)]  # Debian's lack both
        formats = ",".join([*asked, "blend", "csv"])
        self.kmtalk("out.blend", "export", "--all", "--formats", formats, "--out", self.home / "given")
        for name in asked:
            said = self.run(
                "-b", "--python-exit-code", "1", "--python-expr", COMES_BACK.format(name=name, importer=FORMATS[name])
            )
            expect("moves True" in said, f"{name}: {said[-400:]}")
        said = self.run("-b", "--python-exit-code", "1", "--python-expr", LIBRARY)
        expect("asset True (128, 128)" in said, said[-400:])
        return f"{', '.join(asked)} come back moving, and the Action as an asset with a picture"

    def command_line(self) -> str:
        """`blender -b FILE --command kmtalk …`, with the exit statuses of the command line."""
        self.make_file("line.blend")
        said = self.generate("--progress", "json")
        expect("key motions on frames 50" in said and '"progress": 1.0' in said, said[-300:])
        self.kmtalk("out.blend", "complete", "--out", self.home / "out.blend")
        self.kmtalk("out.blend", "export", "--out", self.home / "line.csv")
        self.kmtalk("out.blend", "bake", "--out", self.home / "line.mdd")
        for name in ("line.csv", "line.mdd"):
            expect((self.home / name).stat().st_size > 10_000, f"{name} is empty")
        manifest = self.home / "lines.csv"
        manifest.write_text("audio,out,character,template\nspeech.flac,one,Head,line.blend\nspeech.flac,two,Ben,\n")
        formats = ("--formats", "fbx,blend,scene.blend", "--workers", "1", "--fps", "24")
        said = self.kmtalk("line.blend", "batch", manifest, "--out", self.home / "results", *formats)
        made = {path.name for path in (self.home / "results").glob("[ot]*.*")}
        wanted = {f"{name}.{kind}" for name in ("one", "two") for kind in ("npz", "fbx", "blend", "scene.blend")}
        expect(made == wanted, f"batch made {sorted(made)}: {said[-400:]}")
        wrong = self.generate("--strip", "No such", status=2)
        expect("There is no sound strip No such" in wrong and "Traceback" not in wrong, wrong[-300:])
        self.whole_scene()
        return "generate, complete, export, bake, batch with FBX, a scene, a farm and back, and a wrong strip"

    def whole_scene(self) -> None:
        """Two sounds for the head, one of which is none; the file's lines as a batch, and its results in the file."""
        (self.home / "bad.wav").write_text("no sound")
        sounds = ["--audio", self.home / "speech.flac", "--audio", self.home / "bad.wav"]
        said = self.kmtalk("line.blend", "generate", *sounds, "--out", self.home / "two.blend", status=1)
        expect("bad.wav: Blender cannot read the sound" in said, said[-300:])
        self.kmtalk("two.blend", "generate", "--all", "--out", self.home / "all.blend")
        folder = self.home / "farm"
        self.kmtalk("all.blend", "batch", self.home / "all.blend", "--out", folder, "--workers", "1")
        results = sorted(path.name for path in folder.glob("*/Head/*.npz"))
        expect(results == ["Line.npz", "speech.npz"], f"the batch made {results}")
        said = self.kmtalk("two.blend", "apply", folder / "all.csv", folder, "--out", self.home / "back.blend")
        expect("Traceback" not in said, said[-300:])
        code = (
            "import bpy; tracks = bpy.data.objects['Head'].data.shape_keys.animation_data.nla_tracks;"
            "print('lines', sum(len(s.action.kmtalk_takes) for t in tracks for s in t.strips))"
        )
        said = self.run("-b", self.home / "back.blend", "--python-exit-code", "1", "--python-expr", code)
        expect("lines 2" in said, said[-300:])

    def hostile_surroundings(self) -> str:
        """A PYTHONPATH and a site of the user's with packages that do not work."""
        poison = self.home / "poison"
        user_site = next(self.blender.root.glob("usr/lib/python3.*")).name
        for folder in (poison, self.home / ".local" / "lib" / user_site / "site-packages"):
            for package in ("numpy", "onnxruntime", "av", "scipy"):
                (folder / package).mkdir(parents=True)
                (folder / package / "__init__.py").write_text("raise ImportError('not this one')")
        variables = {"PYTHONPATH": str(poison), "PYTHONSTARTUP": "/nowhere", "OMP_NUM_THREADS": "none"}
        self.generate(**variables)
        shutil.rmtree(self.home / ".local")
        return "does not mind"

    def read_only_profile(self) -> str:
        self.generate(home_bind="--ro-bind", out="/tmp/out.blend")
        return "works"

    def full_disk(self) -> str:
        """Little room in /tmp: one sentence, and the next time it works."""
        said = self.generate(status=1, tmp_bytes="200000")
        expect("free some space" in said and "Traceback" not in said, said[-400:])
        return "one sentence"

    def several_at_once(self) -> str:
        generate = ["blender", "-b", self.home / "line.blend", "--command", "kmtalk", "generate", "--out"]
        commands = [self.command([*generate, self.home / f"{name}.blend"]) for name in "abc"]
        running = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for c in commands]
        for process in running:
            said, _ = process.communicate(timeout=LIMIT)
            expect(process.returncode == 0, said[-400:])
        return "work side by side"

    def without_wheels(self) -> str:
        """As shipped, there are no wheels for the Python of Debian's newest Blender: it says so."""
        python = next(self.blender.root.glob("usr/lib/python3.*")).name.removeprefix("python")
        if python in PYTHONS:
            return f"not needed: the extension has them for Python {python}"
        shipped = as_shipped(self.new.parent / "shipped")
        said = self.run("--command", "extension", "install-file", "-r", "user_default", "--enable", shipped, status=1)
        refusal = re.search(r"This Python version \(.*", said)
        expect(refusal is not None and "Traceback" not in said, said[-500:])
        self.install_new()
        return refusal[0] if refusal else ""

    def window(self) -> str:
        """The buttons, pressed in a window."""
        script = self.tests / "blender_tests" / "in_window.sh"
        said = self.start(["sh", script, self.tests / "blender_tests" / "in_window.py", str(LIMIT)], limit=2 * LIMIT)
        expect("The window works." in said and "Traceback" not in said, said[-800:])
        return (
            f"generated, edited, cancelled, checked, made an environment; {len(list(self.logs.glob('*.png')))} pictures"
        )

    def landmarks(self) -> str:
        """A face that nobody knows is found, corrected and picked."""
        script = self.tests / "blender_tests" / "in_window.sh"
        story = self.tests / "blender_tests" / "in_window_landmarks.py"
        said = self.start(["sh", script, story, str(LIMIT)], limit=2 * LIMIT)
        expect("The window works." in said and "Traceback" not in said, said[-800:])
        return "found, dragged, undone, picked, saved and spoken"

    def lines(self) -> str:
        """Two lines, three takes, a scene, push-down, undo, files: by clicks and keys."""
        script = self.tests / "blender_tests" / "in_window.sh"
        story = self.tests / "blender_tests" / "in_window_lines.py"
        said = self.start(["sh", script, story, str(3 * LIMIT)], limit=4 * LIMIT)
        expect("The window works." in said and "Traceback" not in said, said[-800:])
        return "moved, taken, generated as a scene, recorded again, pushed down, undone, saved, appended and linked"

    def views(self) -> str:
        """Completed keys hidden, heads of libraries overridden: by clicks and keys."""
        script = self.tests / "blender_tests" / "in_window.sh"
        story = self.tests / "blender_tests" / "in_window_views.py"
        said = self.start(["sh", script, story, str(2 * LIMIT)], limit=3 * LIMIT)
        expect("The window works." in said and "Traceback" not in said, said[-800:])
        return "hidden, edited, moved, undone, saved, overridden"

    def trouble(self) -> str:
        """What users do in a window while KMTalk works."""
        script = self.tests / "blender_tests" / "in_window.sh"
        story = self.tests / "blender_tests" / "in_window_trouble.py"
        said = self.start(["sh", script, story, str(2 * LIMIT)], limit=3 * LIMIT)
        expect("The window works." in said and "Traceback" not in said, said[-800:])
        return f"survived {said.count(': survived ')} things done while it worked"

    def uninstall(self) -> str:
        self.run("--command", "extension", "remove", "user_default.kmtalk")
        extensions = next(self.home.glob(".config/blender/*/extensions"))
        blenders = {".blender_ext", ".cache"}  # what Blender keeps for itself
        left = [p for p in extensions.rglob("*") if p.is_file() and not blenders & set(p.parts)]
        expect(not left, f"left: {[str(p.relative_to(extensions)) for p in left][:5]}")
        code = "import bpy; print('still', [a.module for a in bpy.context.preferences.addons if 'kmtalk' in a.module])"
        expect("still []" in self.run("-b", "--python-expr", code), "it is still in the preferences")
        return "nothing is left"

    def make_file(self, name: str) -> None:
        """Save a file with the demo head and the sample speech on frame 50, and the speech beside it."""
        code = f"""
import bpy, pathlib, shutil, kmtalk_core
from kmtalk_core.rig.mesh import load_mesh
from {ID} import compat
assets = pathlib.Path(kmtalk_core.__file__).parent / "assets"
shutil.copy(assets / "sample_speech.flac", "speech.flac")
shape = load_mesh(assets / "demo_head.npz")
bpy.ops.wm.read_homefile(use_empty=True)
mesh = bpy.data.meshes.new("Head")
mesh.from_pydata(shape.vertices.tolist(), [], shape.faces.tolist())
head = bpy.data.objects.new("Head", mesh)
bpy.context.scene.collection.objects.link(head)
bpy.context.view_layer.objects.active = head
compat.add_sound_strip(bpy.context.scene, "Line", str(pathlib.Path("speech.flac").resolve()), 1, 50)
bpy.ops.wm.save_as_mainfile(filepath=str(pathlib.Path({name!r}).resolve()))
"""
        self.run("-b", "--python-exit-code", "1", "--python-expr", code)

    def generate(self, *arguments: str, out: str = "", **settings: Any) -> str:
        return self.kmtalk("line.blend", "generate", "--out", out or self.home / "out.blend", *arguments, **settings)

    def kmtalk(self, file: str, *arguments: str | Path, status: int = 0, **settings: str) -> str:
        """`blender -b FILE --command kmtalk …`."""
        return self.run("-b", self.home / file, "--command", "kmtalk", *arguments, status=status, **settings)

    def run(self, *arguments: str | Path, status: int = 0, **settings: str) -> str:
        """Run Blender; returns what it printed."""
        return self.start(["blender", *arguments], status=status, **settings)

    def start(
        self,
        command: Sequence[str | Path],
        folders: Sequence[Path] = (),
        status: int = 0,
        limit: float = LIMIT,
        **settings: str,
    ) -> str:
        """Run a program in the root, for `limit` s at most; Failed if its exit status is another than `status`."""
        command = self.command(command, folders, **settings)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        log = self.logs / f"{time.time():.2f}.log"
        log.write_text(f"{command}\n{done.stdout}")
        if done.returncode != status:
            raise Failed(f"exit status {done.returncode} instead of {status}; {log}: {done.stdout.strip()[-600:]}")
        return done.stdout

    def command(self, command: Sequence[str | Path], folders: Sequence[Path] = (), **settings: str) -> list[str]:
        return self.blender.command(command, self.home, [self.old.parent, *folders], **settings)


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def last_line(said: str) -> str:
    """pytest's count."""
    counted = [line for line in said.splitlines() if re.search(r"\d+ passed", line)]
    expect(bool(counted), said[-600:])
    return counted[-1].strip("= ")
