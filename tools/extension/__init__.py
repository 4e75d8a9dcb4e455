"""How the Blender extension is put together: its wheels from the lock file, what is left out of them, and their terms.

`build_addon.py` is the command. The standard library and pip suffice.
"""
