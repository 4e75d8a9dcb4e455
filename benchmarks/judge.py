"""`python -m benchmarks.judge`: lip sync on real speech, with and without transcript, as a markdown table.

The judge, its clips and its mesh lie beside the repository in `../shared` where they are at hand; they are not part of
the project.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kmtalk_core.animator import Animator, Request
from kmtalk_core.audio import load_sound
from kmtalk_core.motion import save_animation
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.mesh import load_mesh

SHARED = Path(__file__).parent.parent.parent / "shared"
JUDGE = SHARED / "judge" / "judge.py"
REFERENCE = SHARED / "judge" / "reference_phones.json"
MESH = SHARED / "data" / "mesh" / "FLAME_sample.ply"
SPEECH = SHARED / "data" / "speech"
FPS = 30
FIGURES = (
    "aperture90", "bilabial", "labiodental", "silence", "open_auc", "round_auc", "openness_r", "lag_ms", "jitter",
    "lip_speed", "blinks",
)  # fmt: skip


def main() -> int:
    if not JUDGE.is_file():
        print(f"The judge is not at hand ({JUDGE}); without it, there is nothing to measure.")
        return 0
    clips = json.loads(REFERENCE.read_text(encoding="utf-8"))
    print(f"| transcript | {' | '.join(FIGURES)} |\n|---{'|---' * len(FIGURES)}|")
    for kind in ("with", "without"):
        figures = judged(clips, with_transcript=kind == "with")
        print(f"| {kind} | {' | '.join(str(figures[name]) for name in FIGURES)} |", flush=True)
    return 0


def judged(clips: Mapping[str, dict], with_transcript: bool) -> dict[str, float]:
    """Animate every clip on the judge's mesh and return the judge's figures."""
    animator, mesh = Animator(), load_mesh(MESH)
    rig = build_rig(mesh)
    found = {path.name: path for path in SPEECH.rglob("*") if path.name in clips}
    with tempfile.TemporaryDirectory(prefix="kmtalk-judge-") as folder:
        for name, clip in clips.items():
            request = Request(transcript=clip["text"] if with_transcript else None, fps=FPS)
            animation = animator.animate(load_sound(found[name]), request)
            vertices = rig.vertices(animation.controls, animation.control_names)
            save_animation(
                replace(animation, vertices=vertices, faces=mesh.faces), Path(folder, Path(name).stem + ".npz")
            )
        answer = Path(folder, "figures.json")
        command = [sys.executable, JUDGE, REFERENCE, folder, MESH, "--json", answer]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(answer.read_text())


if __name__ == "__main__":
    sys.exit(main())
