"""The demo head: a stylised human head modelled by code alone, in millimetres, y up, z to the front, x to its left.

`sculpt` is the shape of the skin, as an implicit surface. `layout` lays a quad mesh with loops round mouth, eyes and
nostrils over it. The other modules add lips, lids, mouth, teeth, tongue, eyes, ears, brows, lashes and hair.
Write the asset with `python -m tools.demo_head`.
"""
