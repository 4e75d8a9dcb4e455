"""`python -m demo`: a talking head as .blend, .mp4, contact sheet and .npz."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.command.arguments import Parser
from kmtalk_core.command.display import Display
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import written_whole

if TYPE_CHECKING:
    from .blend import Shot
    from .film import Moment, Picture

OUTPUT = Path(__file__).parent.parent / "demo_output"
# Debian's names of what the bpy wheel needs of the system.
BLENDER_LIBRARIES = "libx11-6 libxrender1 libxfixes3 libxi6 libxxf86vm1 libxkbcommon0 libsm6 libice6 libgl1 libegl1"


def main() -> int:
    parser = Parser(prog="run.py demo", description="Animate a head with speech; the results go to demo_output/.")
    parser.add_argument("--audio", type=Path, help="sound or video file with speech (default: the sample speech)")
    parser.add_argument("--transcript", metavar="TEXT", help="what is said in it")
    parser.add_argument("--mesh", type=Path, help="head to animate, .ply, .obj or .npz (default: the demo head)")
    progress = Display("auto")
    try:
        make_demo(parser.parse_args(), progress)
        return 0
    except KMTalkError as error:
        progress.error(str(error))
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        progress.error("interrupted; what was finished is in demo_output/.")
        return 1


def make_demo(options: argparse.Namespace, progress: Display) -> None:
    """Make the four files and print where they are. Raises KMTalkError."""
    try:
        from .blend import animate_scene, save_blend
        from .render import quiet
    except ImportError as error:
        raise KMTalkError(
            f"Blender's Python package does not load ({error}); on Debian and Ubuntu, "
            f"`sudo apt-get install {BLENDER_LIBRARIES}` brings what it needs."
        ) from None
    from kmtalk_core.rig.mesh import load_mesh

    audio, transcript, name = options.audio, options.transcript, "demo"
    if audio is None:
        audio = SAMPLE_SPEECH
        transcript = transcript or SAMPLE_SPEECH.with_suffix(".txt").read_text(encoding="utf-8")
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

    shoot_film(shot, film, sheet, progress)
    progress.clear()
    print("\nDone:")
    for path, what in (
        (film, "the film"), (blend, "opens and plays in Blender"), (sheet, "poses by phone"), (npz, "the numbers"),
    ):  # fmt: skip
        print(f"  {path}  {what}")


def shoot_film(shot: Shot, film: Path, sheet: Path, progress: Display) -> None:
    """Edit a key motion of `shot`; make the film and the contact sheet. Raises KMTalkError."""
    from .blend import edit_key
    from .contact_sheet import choose_poses, write_sheet
    from .edit import choose_key
    from .film import SECONDS, Played, compose, frames_needed, moments, soundtrack
    from .pictures import take_all
    from .render import AUDIO_RATE, mix_sound, quiet, read_wav, write_film, write_wav
    from .shooting import Recording, prepare

    animation, shown = shot.animation, choose_poses(shot.animation)
    key = choose_key(animation)
    frames = sorted({*frames_needed(animation, key), *(pose.frame for pose in shown)})
    generated = Recording.of(shot, frames)
    with quiet():
        edit = edit_key(shot, key) if key is not None else None
    script = moments(animation, edit)
    sheet_poses = [Played(pose.frame) for pose in shown]
    # Each pose once, however often it is seen; the contact sheet's come last.
    poses = list(dict.fromkeys([p for m in script for p, _ in (m.left, m.right)] + sheet_poses))
    number = {pose: place for place, pose in enumerate(poses)}

    print("3/4 Measuring how light falls on the head", flush=True)
    shoot = prepare(shot, generated, edit, poses, progress)

    pictures = list(dict.fromkeys(picture for moment in script for picture in (moment.left, moment.right)))
    close_ups = [(pose, f"{view} close-up") for view in ("front", "side") for pose in sheet_poses]
    print(f"4/4 Drawing the film, {len(script)} frames, and the contact sheet", flush=True)
    if len(animation.times) > SECONDS * animation.fps + 1:
        print(f"    The film shows the first {SECONDS:g} s of the speech; the .blend and the .npz have all of it.")
    wanted = [(number[pose], view) for pose, view in [*close_ups, *pictures]]
    taken = take_all(shoot, wanted)
    close = [next(taken) for _ in close_ups]
    write_sheet(shown, close[: len(shown)], close[len(shown) :], sheet)
    with tempfile.TemporaryDirectory(prefix="kmtalk-demo-") as folder:
        wav = Path(folder) / "sound.wav"
        mix_sound(wav)
        write_wav(soundtrack(script, animation.fps, read_wav(wav), AUDIO_RATE), wav)
        shelf = Shelf(zip(pictures, taken, strict=False), script)
        drawn = compose(script, animation, edit, shelf)
        write_film(progress_of(drawn, len(script), progress), animation.fps, wav, film)


def progress_of(frames: Iterator[np.ndarray], count: int, progress: Display) -> Iterator[np.ndarray]:
    """The same frames, and how far they are."""
    start = time.monotonic()
    for done, frame in enumerate(frames, start=1):
        left = (time.monotonic() - start) / done * (count - done)
        progress(done / count, f"frame {done} of {count}, {left:.0f} s left")
        yield frame


class Shelf:
    """Hands out pictures as they arrive, and keeps each for as long as it is needed again."""

    def __init__(self, arriving: Iterator[tuple[Picture, np.ndarray]], script: Sequence[Moment]) -> None:
        self._arriving, self._kept = arriving, dict[Any, np.ndarray]()
        self._needed = Counter(picture for moment in script for picture in (moment.left, moment.right))

    def __call__(self, picture: Picture) -> np.ndarray:
        while picture not in self._kept:
            name, pixels = next(self._arriving)
            self._kept[name] = pixels
        self._needed[picture] -= 1
        return self._kept[picture] if self._needed[picture] else self._kept.pop(picture)


if __name__ == "__main__":
    sys.exit(main())
