"""`python -m demo`: a talking head as .blend, .mp4, contact sheet and .npz."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from kmtalk_core.assets import ASSETS
from kmtalk_core.command.cli import Parser, Progress
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import written_whole

OUTPUT = Path(__file__).parent.parent / "demo_output"
SAMPLE = ASSETS / "sample_speech.flac"
# Debian's names of what the bpy wheel needs of the system.
BLENDER_LIBRARIES = "libx11-6 libxrender1 libxfixes3 libxi6 libxxf86vm1 libxkbcommon0 libsm6 libice6 libgl1 libegl1"


def main() -> int:
    parser = Parser(prog="run.py demo", description="Animate a head with speech; the results go to demo_output/.")
    parser.add_argument("--audio", type=Path, help="sound or video file with speech (default: the sample speech)")
    parser.add_argument("--transcript", metavar="TEXT", help="what is said in it")
    parser.add_argument("--mesh", type=Path, help="head to animate, .ply, .obj or .npz (default: the demo head)")
    progress = Progress("auto")
    try:
        make_demo(parser.parse_args(), progress)
        return 0
    except KMTalkError as error:
        progress.error(str(error))
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        progress.error("interrupted; what was finished is in demo_output/.")
        return 1


def make_demo(options: argparse.Namespace, progress: Progress) -> None:
    """Make the four files and print where they are. Raises KMTalkError."""
    try:
        from .blend import animate_scene, save_blend
        from .render import close_up, mix_sound, quiet, render_frames, write_film
    except ImportError as error:
        raise KMTalkError(
            f"Blender's Python package does not load ({error}); on Debian and Ubuntu, "
            f"`sudo apt-get install {BLENDER_LIBRARIES}` brings what it needs."
        ) from None
    from kmtalk_core.rig.mesh import load_mesh

    from .contact_sheet import choose_poses, write_sheet

    audio, transcript, name = options.audio, options.transcript, "demo"
    if audio is None:
        audio, transcript = SAMPLE, transcript or SAMPLE.with_suffix(".txt").read_text(encoding="utf-8")
    elif audio.is_file():
        name = audio.stem
    else:
        raise InputError(f"There is no sound file {audio}; check the path.")
    mesh = load_mesh(options.mesh) if options.mesh else None
    OUTPUT.mkdir(exist_ok=True)
    npz, blend, film, sheet = (OUTPUT / f"{name}{end}" for end in (".npz", ".blend", ".mp4", "_contact_sheet.png"))

    print(f"1/4 Animating {audio.name}", flush=True)
    with quiet():
        shot = animate_scene(audio, transcript, mesh)
    with written_whole(npz) as partial:
        partial.write_bytes(shot.result)
    progress.warnings(shot.warnings)

    print("2/4 Saving the .blend", flush=True)
    with quiet():
        save_blend(blend)

    with tempfile.TemporaryDirectory(prefix="kmtalk-demo-") as folder:
        poses = choose_poses(shot.animation)
        print(f"3/4 Rendering the contact sheet: {len(poses)} poses from the front and the side", flush=True)
        numbers = [shot.scene.frame_start + pose.frame for pose in poses]
        rows = []
        for number, view in enumerate(("front", "side")):
            with close_up(shot.scene, view):
                part = progress.span(number / 2, (number + 1) / 2)
                rows.append(render_frames(shot.scene, numbers, Path(folder) / view, part))
        write_sheet(poses, *rows, sheet)

        print(f"4/4 Rendering the film: {len(shot.animation.times)} frames", flush=True)
        mix_sound(Path(folder) / "sound.wav")
        numbers = range(shot.scene.frame_start, shot.scene.frame_end + 1)
        frames = render_frames(shot.scene, numbers, Path(folder) / "film", progress)
        write_film(frames, shot.animation.fps, Path(folder) / "sound.wav", film)

    progress.clear()
    print("\nDone:")
    for path, what in (
        (film, "the film"), (blend, "opens and plays in Blender"), (sheet, "poses by phone"), (npz, "the numbers"),
    ):  # fmt: skip
        print(f"  {path}  {what}")


if __name__ == "__main__":
    sys.exit(main())
