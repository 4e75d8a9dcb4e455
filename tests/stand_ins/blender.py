"""A Blender for `blender -b FILE --command kmtalk …`: the bpy module with this checkout's add-on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import bpy

import kmtalk_addon
from kmtalk_addon import command_line

background, *file, command, name = sys.argv[1 : sys.argv.index("kmtalk") + 1]
arguments = sys.argv[sys.argv.index("kmtalk") + 1 :]
assert (background, command, name) == ("-b", "--command", "kmtalk")
kmtalk_addon.register()
for path in file:
    bpy.ops.wm.open_mainfile(filepath=path)
sys.exit(command_line.main(arguments))
