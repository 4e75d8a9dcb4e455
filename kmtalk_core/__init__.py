"""KMTalk's core: speech in, editable key motions and completed facial motion out.

Imports neither bpy nor training code, and torch only inside `networks` and the torch backend.
"""

__version__ = "0.1.0"
