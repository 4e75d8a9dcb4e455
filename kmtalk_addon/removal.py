"""Taking things away again: one take, one line, or everything that KMTalk has made on a head; and leaving it behind as
plain animation."""

from __future__ import annotations

import json

import bpy

from kmtalk_core.errors import InputError

from . import bones, clips, follow, inputs, key_view, live, parts, rig_keys, shape_keys, takes
from .takes import Clip


def use_take(clip: Clip, action: bpy.types.Action) -> Clip:
    """Let another take of the line play, with the sliders and parts that it has."""
    key_view.take_over(clip.keys)
    takes.activate(clip.keys, action)
    other = Clip(clip.scene, clip.obj, action)
    follow.settle(other)
    key_view.redraw(clip.keys)
    if (strip := other.strip) is not None:
        takes.wear(strip, other.take)
    clip.keys.kmtalk.line = other.take.line_id
    clips.hold_rest(clip.keys)
    live.show(clip.scene)
    return other


def duplicate_take(clip: Clip) -> Clip:
    """A copy of the take that plays, which plays from now on."""
    key_view.take_over(clip.keys)
    of_line = takes.takes_of(clip.keys, clip.take.line_id)
    action = clip.action.copy()
    clips.hold(clip.keys, action)
    action.kmtalk_takes[0].title, action.kmtalk_takes[0].laid = takes.free_title(of_line), ""
    return use_take(clip, action)


def delete_take(clip: Clip, action: bpy.types.Action) -> None:
    """Delete a take; another one of the line plays instead of one that played."""
    others = [a for a in takes.takes_of(clip.keys, clip.take.line_id) if a != action]
    if action in clips.playing(clip.keys):
        if others:
            use_take(clip, others[-1])
        else:
            clips.take_off(clip.keys, [action])
    forget_actions(clip.keys, [action])
    clips.hold_rest(clip.keys)
    live.show(clip.scene)


def remove_line(clip: Clip) -> None:
    """Take a line with all of its takes off the face."""
    actions = takes.takes_of(clip.keys, clip.take.line_id)
    clips.take_off(clip.keys, actions)
    forget_actions(clip.keys, actions)
    if takes.own_actions(clip.keys) or clips.is_override(clip.keys):
        clips.hold_rest(clip.keys)
        live.show(clip.scene)
    else:
        remove_all(clip.scene, clip.obj)


def remove_all(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Take off everything that KMTalk has made on the mesh `obj`: the face is as it was before."""
    keys = shape_keys.check_mesh(obj).data.shape_keys
    if keys is None or not _is_touched(keys):
        raise InputError(f"KMTalk has made nothing on {obj.name}.")
    if clips.is_override(keys):
        _remove_own(scene, obj)
        return
    parts.detach(obj)
    bones.detach(obj)
    inputs.detach(obj)
    built, ranges = shape_keys.built_by_rig(keys), shape_keys.ranges_before(keys)
    names, stills = shape_keys.controls_of_keys(keys), json.loads(keys.kmtalk.stills or "{}")
    others = clips.paths_of_others(keys)
    data = keys.animation_data
    if data is not None:
        key_view.put_away(keys)
        actions = takes.own_actions(keys)
        clips.take_off(keys, actions)
        forget_actions(keys, actions)
        rig_keys.detach(keys)
        clips.remove_rest(keys)
        clips.move_back(keys)
        if data.action is None and not len(data.nla_tracks) and not len(data.drivers):
            keys.animation_data_clear()
    for control, value in stills.items():
        block = keys.key_blocks.get(names.get(control, ""))
        if block is not None and block.path_from_id("value") not in others:
            block.value = value
    for name, (low, high) in ranges.items():
        if name in keys.key_blocks:
            keys.key_blocks[name].slider_min, keys.key_blocks[name].slider_max = low, high
    clips.forget(keys)
    for name in built:
        if name in keys.key_blocks and keys.key_blocks[name] != keys.reference_key:
            obj.shape_key_remove(keys.key_blocks[name])
    if built and len(keys.key_blocks) == 1:
        obj.shape_key_clear()  # the basis came with them
    live.show(scene)


def _remove_own(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Take off an override what was made in this file; what comes with its library stays."""
    keys = obj.data.shape_keys
    actions = [action for action in takes.own_actions(keys) if action.library is None]
    if not actions:
        raise InputError(f"All that KMTalk has made on {obj.name} comes from its library; remove it in that file.")
    key_view.put_away(keys)
    clips.take_off(keys, actions)
    forget_actions(keys, actions)
    clips.hold_rest(keys)
    if not any(action.library is not None for action in takes.own_actions(keys)):
        rig_keys.detach(keys)
    live.show(scene)


def bake(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Leave all lines of the mesh `obj` behind as plain Actions on the NLA, which look the same and need no KMTalk."""
    keys = shape_keys.check_mesh(obj).data.shape_keys
    playing = [action for action in clips.playing(keys) if action.library is None]
    if not playing:
        raise InputError(f"{obj.name} has no animation of KMTalk's; generate it first.")
    key_view.put_away(keys)
    forget_actions(keys, [action for action in takes.own_actions(keys) if action not in playing])
    for action in playing:
        if not takes.is_only_here(keys, action):
            action = takes.only_here(Clip(scene, obj, action)).action
        action.kmtalk_takes.clear()
    clips.forget(keys)
    live.show(scene)


def _is_touched(keys: bpy.types.Key) -> bool:
    return bool(len(keys.kmtalk.actions) or keys.kmtalk.known or clips.playing(keys))


def forget_actions(keys: bpy.types.Key, actions: list[bpy.types.Action]) -> None:
    """Let these shape keys no longer keep these Actions; those that nobody else has are deleted."""
    for index in reversed(range(len(keys.kmtalk.actions))):
        if keys.kmtalk.actions[index].action in (*actions, None):
            keys.kmtalk.actions.remove(index)
    for action in actions:
        if not action.users or (action.use_fake_user and action.users == 1):
            bpy.data.actions.remove(action)
