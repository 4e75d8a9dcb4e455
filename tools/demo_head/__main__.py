"""Write kmtalk_core/assets/demo_head.npz."""

from __future__ import annotations

from pathlib import Path

from kmtalk_core.files import save_npz

from .assemble import demo_head

TARGET = Path(__file__).resolve().parents[2] / "kmtalk_core" / "assets" / "demo_head.npz"

if __name__ == "__main__":
    save_npz(demo_head(), TARGET)
    print(TARGET)
