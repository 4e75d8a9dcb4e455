"""What hides lip sync from the eye is told, each thing in a sentence."""

import bpy
import pytest

from kmtalk_addon import compat, keyframes, lipsync, shape_keys, strip
from kmtalk_addon.hindrances import hindrances
from kmtalk_core.errors import InputError


@pytest.fixture
def spoken(head, add_strip, made):
    """A head with lip sync."""
    sound_strip = add_strip(frame=50)
    line = strip.read_line(bpy.context.scene, sound_strip)
    animation, result = made(line)
    lipsync.apply(bpy.context.scene, head, sound_strip, line, animation, result)
    return head


def told(head) -> tuple[str, ...]:
    return hindrances(head, shape_keys.drivable(head)[0].values())


def test_nothing_is_told_of_a_face_that_moves(spoken):
    assert told(spoken) == ()


def test_muted_shape_keys(spoken):
    for name in ("jawOpen", "mouthPucker", "mouthFunnel", "mouthClose"):
        spoken.data.shape_keys.key_blocks[name].mute = True
    assert len(told(spoken)) == 1 and "and 1 more" in told(spoken)[0] and "muted shape keys" in told(spoken)[0]
    spoken.data.shape_keys.key_blocks["Wart"].mute = True  # which is none of KMTalk's
    assert "Wart" not in told(spoken)[0]


def test_a_shape_key_shown_alone(spoken):
    spoken.show_only_shape_key, spoken.active_shape_key_index = True, 5
    assert "alone" in told(spoken)[0] and spoken.active_shape_key.name in told(spoken)[0]


@pytest.mark.parametrize("of_group", [False, True])
@pytest.mark.parametrize("what", ["mute", "lock"])
def test_muted_and_locked_curves(spoken, of_group, what):
    action = keyframes.own_action(spoken)
    curve = next(c for c in compat.all_fcurves(action) if "jawOpen" in c.data_path)
    setattr(curve.group if of_group else curve, what, True)
    assert len(told(spoken)) == 1 and "jawOpen" in told(spoken)[0] and what in told(spoken)[0]


def test_they_are_warned_of_when_generating(spoken, add_strip, made):
    sound_strip = strip.choose_strip(bpy.context.scene)
    line = strip.read_line(bpy.context.scene, sound_strip)
    animation, result = made(line, seed=1)
    spoken.data.shape_keys.key_blocks["jawOpen"].mute = True
    outcome = lipsync.apply(bpy.context.scene, spoken, sound_strip, line, animation, result, ("Something else.",))
    assert outcome.warnings == ("Something else.", *told(spoken))


def test_an_override_of_the_object_alone_says_that_the_mesh_is_missing(head, tmp_path):
    collection = bpy.data.collections.new("Character")
    collection.objects.link(head)
    bpy.data.libraries.write(str(tmp_path / "library.blend"), {collection}, fake_user=True)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.collections = ["Character"]
    linked = wanted.collections[0].objects[0]
    with pytest.raises(InputError, match="is linked from another file; override it"):
        shape_keys.check_mesh(linked)
    bpy.context.scene.collection.children.link(wanted.collections[0])
    made = wanted.collections[0].override_hierarchy_create(
        bpy.context.scene, bpy.context.view_layer, do_fully_editable=True
    )
    head = made.objects[0]
    with pytest.raises(InputError, match=r"is a library override, but its mesh .* is still linked"):
        shape_keys.check_mesh(head)
    head.data.override_create(remap_local_usages=True)
    assert shape_keys.check_mesh(head) == head
