"""The options of each command. They are described when a command is given: describing them all takes time at start."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..settings import BACKENDS, WHISPER_DEVICES, KeySettings, Layers, LocalizerSettings, Settings, Sliders, settings_of
from .arguments import add_setting, converter


def animate(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `animate`."""
    (fps,) = (setting for setting in settings_of(Settings) if setting.name == "fps")
    _add_speech(sub)
    sub.add_argument(
        "--alignment", type=Path, metavar="F", help="phones, words or mouth shapes with times (TextGrid, JSON, .dat, …)"
    )
    sub.add_argument("--alignment-fps", type=converter(fps), help="frames a second of a Papagayo .dat (24)")
    sub.add_argument("--mesh", type=Path, metavar="MESH", help="head to drive (.ply, .obj or .npz); see --vertices")
    sub.add_argument("--vertices", action="store_true", help="store the mesh's vertices of every frame too")
    add_setting(sub, fps)
    for setting in settings_of(KeySettings, Sliders, Layers):
        add_setting(sub, setting)
    _add_target(sub)
    _add_model(sub)
    _add_out(sub, "OUT.npz")


def align(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `align`."""
    _add_speech(sub)
    _add_out(sub, "OUT.(TextGrid|json|srt)")


def complete(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `complete`."""
    sub.add_argument("result", type=Path, metavar="OUT.npz", help="what animate wrote")
    sub.add_argument("--keys", type=Path, required=True, metavar="EDITED.npz", help="key_times and key_controls")
    sub.add_argument("--mesh", type=Path, metavar="MESH", help="head whose vertices to store for every frame")
    _add_model(sub)
    _add_out(sub, "NEW.npz")


def carry(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `carry`."""
    sub.add_argument("old", type=Path, metavar="OLD.npz", help="a result whose key motions were edited")
    sub.add_argument("new", type=Path, metavar="NEW.npz", help="a result of another text, model, setting or recording")
    _add_model(sub)
    _add_out(sub, "OUT.npz")


def learn_style(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `learn-style`."""
    from .learning import add_options

    add_options(sub)
    _add_model(sub)


def check(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `check`."""
    sub.add_argument("result", type=Path, metavar="OUT.npz", help="what animate or complete wrote")
    sub.add_argument("--mesh", type=Path, metavar="MESH", help="head to measure on; without, distances are estimates")
    sub.add_argument("--out", type=Path, metavar="F.json", help="write the report there too")


def landmarks(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `landmarks`."""
    sub.add_argument("mesh", type=Path, metavar="MESH", help="a head (.ply, .obj or .npz)")
    _add_out(sub, "HEAD.(npz|json)")


def export(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `export`."""
    sub.add_argument(
        "results", type=Path, nargs="+", metavar="OUT.npz", help="what animate or complete wrote; several for a .glb"
    )
    _add_target(sub)
    sub.add_argument("--mesh", type=Path, metavar="MESH", help="head of a .glb or .mp4 (the demo head)")
    sub.add_argument("--audio", type=Path, metavar="AUDIO", help="sound of a .mp4")
    _add_out(sub, "F.(csv|livelink.csv|json|curves.json|TextGrid|srt|mdd|pc2|anim|vrma|glb|mp4|dat|tsv|rhubarb.json)")


def batch(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `batch`."""
    from .batch.command import add_options

    add_options(sub)


def diff(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `diff`."""
    from .batch.command import add_diff_options

    add_diff_options(sub)


def serve(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `serve`."""
    from .serve.command import add_serve_options

    add_serve_options(sub)


def send(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `send`."""
    from .serve.command import add_send_options

    add_send_options(sub)


def watch(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `watch`."""
    from .serve.command import add_watch_options

    add_watch_options(sub)


def _add_speech(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("audio", type=Path, metavar="AUDIO", help="sound or video file with speech")
    text = sub.add_mutually_exclusive_group()
    text.add_argument("--transcript", metavar="TEXT", help="what is said")
    text.add_argument("--transcript-file", type=Path, metavar="F", help="text or subtitles with what is said")
    text.add_argument(
        "--transcript-beside", action="store_true", help="use the .txt, .srt, .vtt or .lab of the sound's name"
    )
    for setting in settings_of(LocalizerSettings):
        add_setting(sub, setting)
    sub.add_argument("--whisper-model", metavar="M", help="Whisper's model: a name or a file (the best installed)")
    sub.add_argument("--whisper-device", choices=WHISPER_DEVICES, help="what runs Whisper (auto)")
    sub.add_argument("--allow-download", action="store_true", help="let Whisper download a missing model")
    sub.add_argument(
        "--corrections", type=Path, metavar="JSON", help="words and phones to correct; see docs/localization.md"
    )


def _add_model(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--backend", choices=BACKENDS, default="auto", help="what runs the networks (default: auto)")
    sub.add_argument("--checkpoint", type=Path, metavar="F", help="own weights instead of the shipped ones")
    sub.add_argument("--checkpoint-head", default="", metavar="N", help="for which of its meshes (told by --mesh)")


def _add_target(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--target", metavar="FAMILY", help="curves for the shapes of arkit, oculus, vrm1, … or a mapping.json, too"
    )


def _add_out(sub: argparse.ArgumentParser, metavar: str) -> None:
    sub.add_argument("--out", type=Path, required=True, metavar=metavar, help="file to write")
