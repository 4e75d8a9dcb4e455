"""The operators of the preferences: make an environment for the graphics card, remove it, check this installation."""

from __future__ import annotations

import getpass
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import bpy

import kmtalk_core
from kmtalk_core.command.doctor import Finding, format_report
from kmtalk_core.errors import KMTalkError
from kmtalk_core.service import environment as environments
from kmtalk_core.service.protocol import Examine

from . import compat, operators, preferences
from .job import Steps
from .lipsync import Outcome
from .session import current, sentence

POLL_INTERVAL = 0.2  # s


def plan_of(chosen: preferences.KMTalkPreferences) -> environments.Plan:
    """What the preferences ask for. Raises KMTalkError if Blender may not go online."""
    if not compat.online_access():
        raise KMTalkError(
            "Blender may not go online; allow it in Preferences > System > Network > Allow Online Access."
        )
    for_torch = Path(__file__).with_name("for_torch.zip")
    return environments.Plan(
        folder=preferences.full_path(preferences.environment_folder(chosen), "Folder"),
        python=preferences.maker(chosen),
        device=environments.suggested_device() if chosen.torch_device == "auto" else chosen.torch_device,
        speech=chosen.with_whisper,
        core=str(Path(kmtalk_core.__file__).parents[1]),
        index=chosen.mirror.strip(),
        torch_index=chosen.torch_index.strip(),
        for_torch=str(for_torch) if for_torch.is_file() else "",
    )


class KMTALK_OT_create_environment(bpy.types.Operator):
    """Download torch and what it needs into a folder, so that the work is done on the graphics card"""

    bl_idname = "kmtalk.create_environment"
    bl_label = "Create GPU Environment"

    _timer = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not compat.online_access():
            cls.poll_message_set("Allow online access in Preferences > System > Network first")
            return False
        cls.poll_message_set("An environment is being made already; cancel that first")
        return current.environment is None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Make it now, and wait."""
        try:
            begin(context)
            while step():
                pass
        except Exception as error:
            return self.fail(error)
        return self.finish(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        try:
            begin(context)
        except Exception as error:
            return self.fail(error)
        current.end_worker()  # it may be of the environment that is made again
        self._timer = context.window_manager.event_timer_add(POLL_INTERVAL, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if current.environment is None:
            self.put_away(context)
            self.report({"INFO"}, "Cancelled; creating it again goes on where it stopped")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            if step():
                redraw_preferences(context)
                return {"PASS_THROUGH"}
            status = self.finish(context)
        except Exception as error:
            status = self.fail(error)
        self.put_away(context)
        return status

    def cancel(self, context: bpy.types.Context) -> None:
        end()
        self.put_away(context)

    def put_away(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
        self._timer = None
        redraw_preferences(context)

    def finish(self, context: bpy.types.Context) -> set[str]:
        folder = preferences.environment_folder(preferences.own(context))
        self.report({"INFO"}, preferences.described(environments.state_of(folder)["test"]))
        return {"FINISHED"}

    def fail(self, error: Exception) -> set[str]:
        end()
        current.environment_error = sentence(error)
        self.report({"ERROR"}, current.environment_error)
        return {"CANCELLED"}


class KMTALK_OT_cancel_environment(bpy.types.Operator):
    """Stop; what was downloaded is kept, and creating the environment again goes on from there"""

    bl_idname = "kmtalk.cancel_environment"
    bl_label = "Cancel"

    def execute(self, context: bpy.types.Context) -> set[str]:
        end()
        return {"FINISHED"}


class KMTALK_OT_remove_environment(bpy.types.Operator):
    """Delete the environment's folder"""

    bl_idname = "kmtalk.remove_environment"
    bl_label = "Delete"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        current.end_worker()
        try:
            folder = preferences.environment_folder(preferences.own(context))
            environments.remove(preferences.full_path(folder, "Folder"))
        except KMTalkError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class KMTALK_OT_self_check(operators.Working, bpy.types.Operator):
    """See what works in this installation, what is missing and how to get it"""

    bl_idname = "kmtalk.self_check"
    bl_label = "Check This Installation"

    bl_options = set()  # noqa: RUF012 (Blender wants a set; there is nothing to undo)

    def steps(self, context: bpy.types.Context) -> Steps[Outcome]:
        return self_check()

    def put_away(self, context: bpy.types.Context) -> None:
        super().put_away(context)
        redraw_preferences(context)


class KMTALK_OT_copy_self_check(bpy.types.Operator):
    """Copy what the check has found, to be pasted into a report"""

    bl_idname = "kmtalk.copy_self_check"
    bl_label = "Copy as Report"

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = without_names(format_report(list(current.findings)))
        self.report({"INFO"}, "Copied, without your name and your folders")
        return {"FINISHED"}


def without_names(text: str) -> str:
    """`text` without what tells who you are: your home folder, your user name in paths, and your computer's name."""
    for home in {str(Path.home()), str(Path.home().resolve())} - {os.path.sep}:
        text = re.sub(re.escape(home) + r"(?=[\\/\s\])]|$)", "~", text, flags=re.IGNORECASE if os.name == "nt" else 0)
    text = re.sub(r"((?:/home|/Users|[A-Za-z]:[\\/]Users)[\\/])[^\\/\s\])]+", r"\1USER", text)
    for name, instead in ((_user(), "USER"), (platform.node(), "COMPUTER")):
        if len(name) > 2:
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", instead, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody knows the user of a container
        return ""


def self_check() -> Steps[Outcome]:
    """Look at Blender and at the worker's Python; leaves what was found in the session."""
    current.findings = ()
    blender = blender_findings()
    try:
        details = yield Examine()
    except GeneratorExit:
        current.findings = (*blender, Finding("worker", False, "did not answer", "see the message of the check"))
        raise
    current.findings = (*blender, *(Finding(**finding) for finding in details["findings"]))
    missing = [finding.part for finding in current.findings if not finding.works and not finding.optional]
    return Outcome(f"Missing: {', '.join(missing)}" if missing else "Everything that KMTalk needs works")


def blender_findings() -> tuple[Finding, ...]:
    """What only Blender itself knows."""
    build = f"{bpy.app.version_string}, Python {platform.python_version()}"
    online = "allowed" if compat.online_access() else "not allowed; only needed to create an environment"
    return (
        Finding("Blender", not compat.OUT_OF_RANGE, build, compat.OUT_OF_RANGE, where=bpy.app.binary_path),
        Finding("add-on", True, __package__, where=str(Path(__file__).parent)),
        Finding("online access", True, online, optional=True),
    )


def begin(context: bpy.types.Context) -> None:
    """Start making the environment that the preferences describe."""
    current.environment_error = ""
    current.environment = building = environments.build(plan_of(preferences.own(context)))
    _take(building)


def step() -> bool:
    """Take in what has happened since; False once the environment is ready."""
    return current.environment is not None and _take(current.environment)


def end() -> None:
    """Stop making the environment."""
    if current.environment is not None:
        current.environment.close()
    current.environment = None


def _take(building: Iterator[environments.News]) -> bool:
    news = next(building, None)
    if news is None:
        current.environment = None
        return False
    current.environment_fraction, current.environment_message = news.fraction, news.message
    return True


def redraw_preferences(context: bpy.types.Context) -> None:
    """Show the progress."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


classes = (
    KMTALK_OT_create_environment,
    KMTALK_OT_cancel_environment,
    KMTALK_OT_remove_environment,
    KMTALK_OT_self_check,
    KMTALK_OT_copy_self_check,
)
