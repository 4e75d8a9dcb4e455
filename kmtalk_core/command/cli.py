"""The command line `kmtalk`: thin commands over the façade in `animator`.

Nothing heavy is imported before a command needs it, so that `--help` answers at once. Exit status: 0 done, 2 wrong
input, 1 anything else; an error that the user can mend is one line on stderr.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import InputError
from ..process import settle
from . import options_of
from .arguments import Parser, add_commands
from .display import Display
from .endings import ending
from .outputs import check_output

if TYPE_CHECKING:
    from ..animator import Animator
    from ..audio import Sound
    from ..localization.corrections import Correction
    from ..localization.tools import Tools
    from ..motion import Animation, VertexAnimation
    from ..request import Request
    from ..retarget.families import Family
    from ..vertex_animator import VertexAnimator


def build_parser() -> Parser:
    """Describe the commands and options; they are a public contract."""
    parser = Parser(prog="kmtalk", description="Talking heads from speech, with key poses that stay editable.")
    parser.add_argument("--version", action="version", version=f"kmtalk {__version__}")
    command = add_commands(parser)
    command("animate", "animate a face from a sound file", animate, options_of.animate)
    command("align", "find the words and phones of a sound file", align, options_of.align)
    command("complete", "complete the motion again from edited key motions", complete, options_of.complete)
    command("carry", "carry edited key motions over to another result, by words and phones", carry, options_of.carry)
    text = "learn how somebody speaks, from film or from corrected lines"
    command("learn-style", text, learn_style, options_of.learn_style)
    command("check", "tell which p, b, m do not seal and which f, v do not touch the teeth", check, options_of.check)
    command("landmarks", "find the face of a head about which nothing is known", landmarks, options_of.landmarks)
    command("export", "convert a result to another format", export, options_of.export)
    command("batch", "animate every line of a manifest", batch, options_of.batch)
    command("diff", "tell what changed between two versions of a season or a line", diff, options_of.diff)
    command("serve", "animate what is sent over HTTP, on this machine", serve, options_of.serve)
    command("send", "let `kmtalk serve` animate a face from a sound file", send, options_of.send)
    command("watch", "animate every sound that is put into a folder", watch, options_of.watch)
    command("doctor", "tell what works here, what is missing and how to get it", doctor)
    return parser


def animate(options: argparse.Namespace, progress: Display) -> int:
    check_output(options.out, ".npz")
    if options.vertices and options.mesh is None:
        raise InputError("--vertices needs a mesh; give one with --mesh.")
    from ..animator import Animator
    from ..audio import load_sound
    from ..results import save_animation
    from .heads import load_head, with_vertices

    family = read_target(options)
    sound = load_sound(options.audio)
    request = make_request(options, sound)
    animator = make_animator(options)
    if not isinstance(animator, Animator):
        if family is not None:
            raise InputError("A checkpoint at paper scale moves vertices and has no shapes; leave out --target.")
        return animate_vertices(options, animator, sound, request, progress)
    # Before the long work, so that errors come at once.
    head = load_head(options.mesh, progress.warning) if options.vertices else None
    animation = animator.animate(sound, request, progress.span(0, 0.8 if head else 0.95))
    if head:
        animation = with_vertices(animation, head, progress.span(0.8, 0.95))
    elif options.mesh is not None:
        progress.warning(f"{options.mesh} was not used; add --vertices to store its motion.")
    if family is not None:
        from ..retarget.wear import in_family

        animation = in_family(animation, family)
    progress(0.95, "writing")
    save_animation(animation, options.out)
    progress.warnings(sound.warnings, animation.alignment.warnings)
    warn_of_contacts(animation, options.out, progress)
    progress.done(options.out, describe(animation))
    return 0


def animate_vertices(
    options: argparse.Namespace, animator: VertexAnimator, sound: Sound, request: Request, progress: Display
) -> int:
    """The rest of `animate` for a checkpoint at paper scale, whose result always has vertices."""
    from ..results import save_animation
    from ..rig.mesh import load_mesh

    mesh = None if options.mesh is None else load_mesh(options.mesh)
    animation = animator.animate(sound, request, progress.span(0, 0.9), mesh)
    progress(0.9, "writing")
    save_animation(animation, options.out)
    progress.warnings(sound.warnings, animation.alignment.warnings)
    progress.done(options.out, describe(animation))
    return 0


def align(options: argparse.Namespace, progress: Display) -> int:
    check_output(options.out, ".textgrid", ".json", ".srt")
    from ..animator import Animator
    from ..audio import load_sound
    from ..localization.textgrid import save_alignment
    from ..request import Request

    sound = load_sound(options.audio)
    request = Request(
        transcript=read_transcript(options),
        localizer=options.localizer,
        language=options.language,
        tools=read_tools(options),
        corrections=read_corrections(options, sound),
    )
    alignment = Animator().align(sound, request, progress)
    save_alignment(alignment, options.out)
    progress.warnings(sound.warnings, alignment.warnings)
    progress.done(options.out, f"{len(alignment.words)} words, {len(alignment.phones)} phones by {alignment.source}")
    return 0


def complete(options: argparse.Namespace, progress: Display) -> int:
    check_output(options.out, ".npz")
    from ..motion import VertexAnimation
    from ..results import load_key_vertices, load_keys, load_result, save_animation
    from ..vertex_animator import VertexAnimator
    from .heads import load_head, with_vertices

    before = load_result(options.result)
    if isinstance(before, VertexAnimation):
        if options.mesh is not None:
            raise InputError("This result holds the vertices of its own mesh already; leave out --mesh.")
        poses = load_key_vertices(options.keys, len(before.template))
        vertex_animator = make_animator(options)
        if not isinstance(vertex_animator, VertexAnimator):
            raise InputError(f"This result was made by {before.model}; choose the checkpoint that made it.")
        again = vertex_animator.complete(before, poses, progress.span(0, 0.9))
        save_animation(again, options.out)
        progress.done(options.out, describe(again))
        return 0
    keys = load_keys(options.keys, before.control_names, before.audio_sha256)
    animator = make_animator(options)
    if isinstance(animator, VertexAnimator):
        raise InputError(f"This result was made by {before.model}; choose the checkpoint that made it.")
    animation = animator.complete(before, keys, progress.span(0, 0.8))
    # Vertices of the former motion would contradict the new controls.
    animation = replace(animation, vertices=None, faces=None)
    if before.targets is not None:
        from ..retarget.wear import again as worn_again

        animation = worn_again(animation, before)
    if options.mesh is not None:
        animation = with_vertices(animation, load_head(options.mesh, progress.warning), progress.span(0.8, 0.95))
    elif before.vertices is not None:
        progress.warning(f"{options.out} has no vertices; give the mesh with --mesh to have them computed again.")
    save_animation(animation, options.out)
    outside = ((keys.times < 0) | (keys.times > before.alignment.duration + 1 / before.fps)).sum()
    if outside:
        progress.warning(f"Key motions outside of the sound: {outside}; no frame shows them.")
    warn_of_contacts(animation, options.out, progress)
    progress.done(options.out, describe(animation))
    return 0


def carry(options: argparse.Namespace, progress: Display) -> int:
    check_output(options.out, ".npz")
    from ..finish.carry import carry as carried_over
    from ..results import load_animation, save_animation
    from ..vertex_animator import VertexAnimator

    old, new = load_animation(options.old), load_animation(options.new)
    carried = carried_over(old, new)
    animator = make_animator(options)
    if isinstance(animator, VertexAnimator):
        raise InputError(f"This result was made by {new.model}; choose the checkpoint that made it.")
    animation = animator.complete(new, carried.keys, progress.span(0, 0.9))
    save_animation(animation, options.out)
    for lost in carried.lost:
        progress.warning(f"Not carried: {lost}; what it belongs to is said no more.")
    progress.done(options.out, f"{carried.count} edits carried, {len(carried.lost)} not")
    return 0


def learn_style(options: argparse.Namespace, progress: Display) -> int:
    from ..vertex_animator import VertexAnimator
    from . import learning

    def animator() -> Animator:
        found = make_animator(options)
        if isinstance(found, VertexAnimator):
            raise InputError("A checkpoint that moves vertices has no styles; leave out --checkpoint.")
        return found

    return learning.learn_style(options, animator, progress)


def check(options: argparse.Namespace, progress: Display) -> int:
    if options.out is not None:
        check_output(options.out, ".json")
    from ..files import written_whole
    from ..finish.report import contact_report
    from ..results import load_animation
    from .heads import load_head

    animation = load_animation(options.result)
    mouth = None
    if options.mesh is not None:
        from ..rig.mouth import mouth_of

        mesh, rig = load_head(options.mesh, progress.warning)
        mouth = mouth_of(rig, mesh.faces)
    report = contact_report(animation, mouth)
    if options.out is not None:
        with written_whole(options.out) as partial:
            partial.write_text(json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for missed in report.violations:
        print(missed)
    print(f"{report.summary}.")
    return 1 if report.violations else 0


def landmarks(options: argparse.Namespace, progress: Display) -> int:
    """Write the mesh with its landmarks as an .npz, which --mesh takes, or their places as .json."""
    check_output(options.out, ".npz", ".json")
    from ..landmarks.finder import landmarks_of
    from ..rig.mesh import load_mesh
    from .heads import save_landmarks

    mesh = load_mesh(options.mesh)
    marks, sure = landmarks_of(mesh)
    save_landmarks(mesh, marks, sure, options.out)
    progress.done(options.out, "known by its topology or noted in the mesh" if sure == 1 else f"found, {sure:.0%} sure")
    return 0


def export(options: argparse.Namespace, progress: Display) -> int:
    from ..export import Stage, export_animation, export_clips, exporter_for
    from ..results import load_result

    exporter_for(options.out)
    check_output(options.out, options.out.suffix.lower())
    is_film, several = options.out.suffix.lower() == ".mp4", len(options.results) > 1
    if several and options.out.suffix.lower() != ".glb":
        raise InputError("Only a .glb takes several results, as clips; export one at a time.")
    if options.audio is not None and not is_film:
        raise InputError("--audio is for .mp4 alone; leave it out.")
    family = read_target(options)
    results = [load_result(path) if family is None else worn_as(path, family) for path in options.results]
    if several:
        export_clips(results, [path.stem for path in options.results], options.out, options.mesh)
    else:
        sound = sound_of(options.audio, results[0]) if options.audio is not None else None
        export_animation(results[0], options.out, Stage(options.mesh, sound, options.results[0].stem))
    progress.done(options.out, f"{len(results)} clips" if several else "written")
    return 0


def worn_as(path: Path, family: Family) -> Animation:
    """A result as the shapes of `family` move."""
    from ..motion import Animation
    from ..results import load_result
    from ..retarget.wear import in_family

    result = load_result(path)
    if not isinstance(result, Animation):
        raise InputError(f"{path} moves vertices and has no controls; leave out --target.")
    return in_family(result, family)


def sound_of(path: Path, result: Animation | VertexAnimation) -> Sound:
    """The sound of a result, or the part of it that it is of; raises InputError for another one."""
    from ..audio import load_sound

    part = result.origin.part if result.origin is not None else ()
    sound = load_sound(path, part[0], part[1], part[2] != 0.0) if len(part) == 3 else load_sound(path)
    if result.audio_sha256 and sound.sha256 != result.audio_sha256:
        raise InputError(f"{path} is not the sound that this result was made from; name that one.")
    return sound


def batch(options: argparse.Namespace, progress: Display) -> int:
    from .batch import command

    return command.batch(options, progress)


def diff(options: argparse.Namespace, progress: Display) -> int:
    from .batch import command

    return command.diff(options, progress)


def serve(options: argparse.Namespace, progress: Display) -> int:
    from .serve import command

    return command.serve(options, progress)


def send(options: argparse.Namespace, progress: Display) -> int:
    from .serve import command

    return command.send(options, progress)


def watch(options: argparse.Namespace, progress: Display) -> int:
    from .serve import command

    return command.watch(options, progress)


def doctor(options: argparse.Namespace, progress: Display) -> int:
    from .doctor import examine, format_report

    findings = examine()
    print(format_report(findings))
    return 0 if all(finding.works or finding.optional for finding in findings) else 1


def make_request(options: argparse.Namespace, sound: Sound) -> Request:
    """Turn the options of `animate` into the façade's request for `sound`."""
    from ..request import Request
    from ..settings import settings_of

    alignment = None
    if options.alignment is not None:
        from ..localization.importers import load_alignment

        alignment = load_alignment(options.alignment, options.alignment_fps)
    return Request(
        transcript=read_transcript(options),
        alignment=alignment,
        alignment_name="" if options.alignment is None else options.alignment.name,
        tools=read_tools(options),
        corrections=read_corrections(options, sound),
        **{setting.name: getattr(options, setting.name) for setting in settings_of(Request)},
    )


def read_tools(options: argparse.Namespace) -> Tools:
    """Which Whisper and MFA: the environment's variables, over which the options win."""
    from ..localization.tools import Tools

    tools = Tools.from_environment()
    return replace(
        tools,
        whisper_model=options.whisper_model or tools.whisper_model,
        whisper_device=options.whisper_device or tools.whisper_device,
        allow_download=options.allow_download or tools.allow_download,
    )


def read_target(options: argparse.Namespace) -> Family | None:
    """The family or mapping that --target names."""
    if options.target is None:
        return None
    from ..retarget.families import find_family

    return find_family(options.target)


def make_animator(options: argparse.Namespace) -> Animator | VertexAnimator:
    from ..opening import open_animator

    return open_animator(options.checkpoint, options.backend, options.checkpoint_head)


def read_corrections(options: argparse.Namespace, sound: Sound) -> tuple[Correction, ...]:
    """Return what the file given by --corrections holds for `sound`."""
    if options.corrections is None:
        return ()
    from ..localization.corrections import load_corrections

    return load_corrections(options.corrections, sound.sha256)


def read_transcript(options: argparse.Namespace) -> str | None:
    """Return the text given by --transcript or --transcript-file, or found by --transcript-beside, or None."""
    if options.transcript_file is None and not options.transcript_beside:
        return options.transcript
    from ..localization.transcript import read_transcript, transcript_beside

    path = options.transcript_file or transcript_beside(options.audio)
    if path is None:
        raise InputError(
            f"Beside {options.audio} lies no .txt, .srt, .vtt or .lab of its name; give --transcript-file."
        )
    return read_transcript(path)


def warn_of_contacts(animation: Animation, out: Path, progress: Display) -> None:
    """Tell of lips and teeth that should meet and do not."""
    from ..finish.report import contact_report

    report = contact_report(animation)
    if report.violations:
        progress.warning(f"{report.summary}; `kmtalk check {out}` lists the others.")


def describe(animation: Animation | VertexAnimation) -> str:
    return (
        f"{animation.alignment.duration:.1f} s, {len(animation.times)} frames, {len(animation.key_times)} key motions,"
        f" phones by {animation.alignment.source}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    progress = Display.wanted(given)
    if arguments is None:
        settle()
        # Farms end jobs with SIGTERM, closed terminals with SIGHUP: unwind, so that no half-written file stays.
        for kind in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
            if signal.getsignal(kind) != signal.SIG_IGN:  # as nohup has it
                signal.signal(kind, lambda *_: sys.exit(1))
    try:
        options = build_parser().parse_args(given)
        progress = Display(options.progress)
        return int(options.run(options, progress))
    except OSError as error:
        progress.error(f"{error.filename or 'A file'} cannot be used ({error.strerror}); check path and free space.")
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return ending(error, progress)
