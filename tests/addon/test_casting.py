"""Who says which strip: as somebody said, by names, channels and tables."""

import bpy
import pytest

from kmtalk_addon import casting, clicked, compat, operators, scene_box, takes
from kmtalk_addon.strip import choose_strip
from kmtalk_core.errors import InputError
from kmtalk_core.rig.controls import ARKIT_CONTROLS


@pytest.fixture
def add_head(blender):
    """`add_head("Anna")` adds a grid that passes for a head; with `shapes=False` a mesh that nobody takes for one."""

    def add(name, shapes=True):
        bpy.ops.mesh.primitive_grid_add(x_subdivisions=4, y_subdivisions=4)
        obj = bpy.context.object
        obj.name, obj.data.name = name, f"Mesh {len(bpy.data.meshes)}"
        for block in ("Basis", *ARKIT_CONTROLS) if shapes else ():
            obj.shape_key_add(name=block, from_mix=False)
        return obj

    return add


def said(**more) -> dict[str, tuple[str | None, str]]:
    parts = casting.cast(bpy.context.scene, **more)
    return {part.strip.name: (part.head.name if part.head else None, part.how) for part in parts}


def test_names_of_strips_tell_whatever_their_form(add_head, add_strip):
    add_head("Anna_Head")
    add_head("Guard 2")
    add_head("AnnaMaria")
    add_head("Head.001").parent = bpy.data.objects.new("BOB", None)
    names = {
        "sc010_anna_03": "Anna_Head", "ANNA.wav": "Anna_Head", "AnnaLaughs": "Anna_Head", "anna-maria 1": "AnnaMaria",
        "guard02": "Guard 2", "bob": "Head.001", "annabel": None, "guard_1": None,
    }  # fmt: skip
    for channel, name in enumerate(names, 1):
        add_strip(name=name, channel=channel)
    assert said() == {name: (head, "strip's name" if head else "") for name, head in names.items()}


def test_a_strip_that_names_two_is_nobodys_until_its_channel_tells(add_head, add_strip):
    add_head("Anna")
    add_head("Ben")
    add_strip(name="anna to ben", channel=3)
    (part,) = casting.cast(bpy.context.scene)
    assert part.head is None and part.why == "anna to ben names Anna and Ben; choose who says it."
    bpy.context.scene.sequence_editor.channels[3].name = "Ben's voice"
    assert said() == {"anna to ben": ("Ben", "channel's name")}


def test_strips_of_a_channel_follow_the_one_that_is_known(add_head, add_strip):
    add_head("Anna")
    ben = add_head("Ben")
    for number in range(3):
        add_strip(1 + 100 * number, f"take {number}", channel=2)
    assert {head for head, _ in said().values()} == {None}
    bpy.context.scene.sequence_editor.strips_all["take 1"].kmtalk.speaker = ben
    assert said() == {
        "take 0": ("Ben", "channel"), "take 1": ("Ben", "chosen"), "take 2": ("Ben", "channel"),
    }  # fmt: skip


def test_one_head_alone_says_everything_but_what_is_no_speech(add_head, add_strip):
    add_head("Anna")
    add_head("Floor", shapes=False)
    add_strip(name="a")
    add_strip(name="music", channel=2).kmtalk.speech = False
    assert said() == {"a": ("Anna", "only head"), "music": (None, "chosen")}
    assert [part.left_out for part in casting.cast(bpy.context.scene)] == [False, True]


def test_a_mesh_that_is_no_head_yet_is_known_by_its_name(add_head, add_strip):
    add_head("Anna")
    add_head("Ben", shapes=False)
    add_strip(name="ben_01")
    assert said() == {"ben_01": ("Ben", "strip's name")}


def test_where_it_was_animated_before_counts_more_than_names(add_head, add_strip):
    anna, ben = add_head("Anna"), add_head("Ben")
    sound = add_strip(name="line")
    for obj in (anna, ben):
        action = bpy.data.actions.new("KMTalk")
        action.kmtalk_takes.add().line_id = takes.id_of(sound)
        obj.data.shape_keys.kmtalk.actions.add().action = action
    sound.name = "anna"
    assert [(p.head, p.how) for p in casting.cast(bpy.context.scene)] == [
        (anna, "animated before"), (ben, "animated before"),
    ]  # fmt: skip
    sound.kmtalk.speaker = anna
    assert said() == {"anna": ("Anna", "chosen")}


def test_copies_that_share_a_mesh_are_one_head(add_head, add_strip):
    anna = add_head("Anna")
    bpy.context.scene.collection.objects.link(anna.copy())
    add_strip(name="x")
    assert said() == {"x": ("Anna", "only head")}


def test_a_table_counts_most_and_its_faults_are_sentences(add_head, add_strip, tmp_path):
    add_head("Anna")
    add_head("Ben")
    for channel, name in enumerate(("anna_1", "anna_2", "x", "fx", "lost"), 1):
        add_strip(name=name, channel=channel)
    path = tmp_path / "cast.csv"
    path.write_text("Strip;Channel;Head\nanna_1;;Ben\nanna*;;Anna\n;3;Ben\nfx;;\nlost;;Carl\nno such;;Anna\n")
    table = casting.read_table(path)
    parts = {part.strip.name: part for part in casting.cast(bpy.context.scene, table)}
    assert {name: part.head.name for name, part in parts.items() if part.head} == {
        "anna_1": "Ben", "anna_2": "Anna", "x": "Ben",
    }  # fmt: skip
    assert parts["fx"].left_out and "There is no object Carl in the scene" in parts["lost"].why
    assert table.unknown([part.strip for part in parts.values()]) == ["no such"]
    with pytest.raises(InputError, match="There is no object Carl"):
        scene_box.write_down(bpy.context.scene, table)
    table.rows["lost"] = "Anna"
    assert scene_box.write_down(bpy.context.scene, table) == 5
    assert said()["anna_1"] == ("Ben", "chosen") and said()["fx"] == (None, "chosen")


@pytest.mark.parametrize(
    ("text", "says"),
    [("strip,channel,head\na,1,Anna\n", "row 2: give one of"), ("channel,head\nx,Anna\n", "channel x is no number")],
)
def test_a_table_with_a_fault_names_its_row(tmp_path, text, says):
    (tmp_path / "cast.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        casting.read_table(tmp_path / "cast.csv")


def test_a_click_on_a_strip_chooses_it_and_its_head(add_head, add_strip):
    add_head("Anna")
    ben = add_head("Ben")
    add_strip(name="anna")
    add_strip(name="ben", channel=2)
    scene = bpy.context.scene
    scene.kmtalk.row = [s.name for s in compat.all_strips(scene)].index("ben")
    assert (
        scene.sequence_editor.active_strip.name == "ben" == choose_strip(scene, scene.kmtalk.strip).name
        and scene.kmtalk.mesh == ben
    )
    assert [s.name for s in compat.all_strips(scene) if s.select] == ["ben"]
    assert (
        bpy.ops.kmtalk.go_to_strip(strip="anna") == {"FINISHED"}
        and choose_strip(scene, scene.kmtalk.strip).name == "anna"
    )


def test_a_head_that_is_gone_from_the_scene_is_told(add_head, add_strip):
    anna = add_head("Anna")
    add_head("Ben")
    sound = add_strip(name="ben")
    sound.kmtalk.speaker = anna
    bpy.context.scene.collection.objects.unlink(anna)
    (part,) = casting.cast(bpy.context.scene)
    assert part.head is None and part.why.startswith("Anna is not in the scene")
    bpy.data.objects.remove(anna)
    assert said() == {"ben": ("Ben", "strip's name")}


def test_teeth_and_lashes_with_shape_keys_are_no_heads(add_head, add_strip):
    anna, teeth, lashes = add_head("Anna"), add_head("Teeth"), add_head("Anna's Fringe")
    teeth.parent = lashes.parent = anna
    for part in (teeth, lashes):
        part.scale = (0.5, 0.5, 0.5)
    bpy.context.view_layer.update()
    add_strip(name="x")
    assert casting.heads(bpy.context.scene) == [anna] and said() == {"x": ("Anna", "only head")}


def test_the_panel_is_drawn_again_when_another_strip_is_clicked(add_strip, monkeypatch):
    drawn = []
    monkeypatch.setattr(clicked.live, "redraw", lambda: drawn.append(1))
    one, other = add_strip(name="one"), add_strip(name="other", channel=2)
    for strip in (one, one, other, other):
        bpy.context.scene.sequence_editor.active_strip = strip
        clicked._drawn()
    assert len(drawn) == 2


def test_who_selects_the_rig_means_its_head(add_head):
    anna, ben = add_head("Anna"), add_head("Ben")
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    controls = bpy.data.objects.new("Controls", None)
    for obj in (rig, controls):
        bpy.context.scene.collection.objects.link(obj)
    anna.parent = rig
    curve = ben.data.shape_keys.driver_add('key_blocks["jawOpen"].value')
    variable = curve.driver.variables.new()
    variable.type, variable.targets[0].id = "TRANSFORMS", controls
    scene = bpy.context.scene
    assert casting.head_of_rig(scene, rig) == anna and casting.head_of_rig(scene, controls) == ben
    bpy.context.view_layer.objects.active = rig
    assert operators.chosen_mesh(bpy.context) == anna
    lamp = bpy.data.objects.new("Lamp", None)
    scene.collection.objects.link(lamp)
    bpy.context.view_layer.objects.active = lamp
    assert casting.head_of_rig(scene, lamp) is None and operators.chosen_mesh(bpy.context) == lamp
