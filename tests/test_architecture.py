"""The rules of the architecture: rooms, one direction of dependence, nothing heavy at import, licences of assets."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "kmtalk_core"
PROJECT = ("kmtalk_core", "kmtalk_addon", "training")
# `from kmtalk_core import animator` must stay possible in any Python, Blender's included.
# What each room of the core may import of the others; modules at the top are the façade and what all share.
ROOMS = {
    "assets": set(),
    "hearing": {"assets"},
    "landmarks": {"assets", "rig"},
    "localization": set(),
    "networks": set(),
    "rig": {"assets"},
    "delivery": {"assets", "finish", "rig"},
    "finish": {"localization", "rig"},
    "retarget": {"assets", "finish", "rig"},
    "runtime": {"localization", "networks"},
    "service": {"assets", "command", "finish", "landmarks", "localization", "retarget", "rig", "runtime"},
    "command": {"assets", "delivery", "finish", "hearing", "landmarks", "localization", "retarget", "rig", "runtime"},
}
APPLICATIONS = {"command", "service"}
HEAVY = {"torch", "bpy", "onnxruntime", "pocketsphinx", "scipy", "av"}


def imported_modules(path: Path) -> set[str]:
    """The top-level packages that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def sources(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} has no Python files"
    return found


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("kmtalk_core", {"bpy", "kmtalk_addon", "training", "demo", "tools", "benchmarks"}),
        ("training", {"bpy", "kmtalk_addon", "demo", "benchmarks"}),
        ("kmtalk_addon", {"torch", "training", "demo", "tools"}),
    ],
)
def test_dependence_goes_one_way(folder, forbidden):
    wrong = {
        str(path.relative_to(ROOT)): bad for path in sources(folder) if (bad := imported_modules(path) & forbidden)
    }
    assert not wrong


def imports() -> dict[str, set[str]]:
    """Module → the modules of this project that it imports, inside functions too, but for type checking."""
    files = {module_name(path): path for folder in PROJECT for path in sources(folder)}
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        unseen = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for statement in node.body
            for inner in ast.walk(statement)
        }
        named: set[str] = set()
        for node in ast.walk(tree):
            if node in unseen:
                continue
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                named |= {n if (n := f"{base}.{alias.name}") in files else base for alias in node.names}
        found[module] = (named & set(files)) - {module}
    return found


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The room of a module of the core, None for one at the top."""
    parts = module.split(".")
    return parts[1] if parts[0] == "kmtalk_core" and len(parts) > 1 and (CORE / parts[1]).is_dir() else None


def test_no_imports_go_in_circles():
    """Lazy imports count: what imports in a circle is one thing in two files."""
    left = imports()
    while free := [module for module, wanted in left.items() if not wanted & set(left)]:
        for module in free:
            del left[module]
    # What is left leads into circles or comes out of one; the latter is not to blame.
    while ends := set(left) - {wanted for others in left.values() for wanted in others}:
        for module in ends:
            del left[module]
    assert not {module: sorted(wanted & set(left)) for module, wanted in left.items()}


def test_rooms_import_what_they_may():
    wrong = []
    for module, wanted in imports().items():
        if module.startswith("kmtalk_core."):
            room, others = room_of(module), {room_of(other) for other in wanted} - {None, room_of(module)}
            assert room is None or room in ROOMS, f"{room} is a new room; say in ROOMS which rooms it may import"
            allowed = ROOMS[room] if room is not None else set(ROOMS) - APPLICATIONS
            if module != "kmtalk_core.__main__" and (bad := others - allowed):
                wrong.append(f"{module} imports {', '.join(sorted(bad))}")
    assert not wrong


def test_torch_is_only_in_the_networks_and_its_backend():
    # doctor.py reports on torch where it is installed.
    allowed = {CORE / "runtime" / "torch_backend.py", CORE / "command" / "doctor.py"}
    users = {path for path in sources("kmtalk_core") if "torch" in imported_modules(path)}
    assert not {p for p in users if CORE / "networks" not in p.parents and p not in allowed}


@pytest.mark.parametrize("module", ["kmtalk_core", "kmtalk_core.settings", "kmtalk_core.command.cli"])
def test_importing_is_instant(module):
    assert not loaded_by(module) & (HEAVY | {"numpy"})


def test_the_facade_imports_no_torch():
    assert "torch" not in loaded_by("kmtalk_core.animator")


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted(name.split('.')[0] for name in sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split())


def test_every_asset_of_others_is_attributed():
    """What the project made itself is under its own licence; NOTICE names the rest and where its terms are."""
    own = {
        "report.html",
        "report_head.json",
        "environment.lock",
        "kmtalk_compact.npz",
        "model_card.md",
        "recogniser_card.md",
        "near_voice.npz",
        "sound_kinds.npz",
        "landmark_finder_card.md",
        "demo_head.npz",
        "lip_motion.npz",
        "bones.json",
        "precise.style",
        "sample_speech.txt",
        "NOTICE",
        "__init__.py",
    }
    notice = (CORE / "assets" / "NOTICE").read_text(encoding="utf-8")
    others = [p.name for p in (CORE / "assets").iterdir() if p.is_file() and p.name not in own]
    assert others
    assert not [name for name in others if name not in notice]


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]])
def test_style(check):
    done = subprocess.run([sys.executable, "-m", "ruff", *check, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_is_evaluated_on_import_exists_in_the_oldest_blender():
    """Before 4.4 `bpy.types.Strip` has another name: evaluated annotations name compat.StripType."""
    for path in (ROOT / "kmtalk_addon").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        named = re.search(r"bpy\.types\.\w*Strip\b", text)
        assert "from __future__ import annotations" in text or named is None, path


def test_operators_stay_thin():
    """An operator polls, snapshots the properties, calls and reports: forty lines a method are plenty."""
    long = []
    for path in sources("kmtalk_addon"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any("Operator" in ast.unparse(base) for base in node.bases):
                methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
                long += [f"{node.name}.{m.name}" for m in methods if m.end_lineno - m.lineno >= 40]
    assert not long


def test_experiments_call_functions_rather_than_commands():
    """No command line is put together in the process: what a command does is a function that others call."""
    commands = {"training.train", "training.evaluate", "training.prepare.__main__", "training.corpus.__main__"}
    users = {}
    for path in sources("training"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                package = path.relative_to(ROOT).parent.parts
                base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
                module = ".".join(part for part in (base, node.module or "") if part)
                if module in commands:
                    users[str(path.relative_to(ROOT))] = module
    assert not users
