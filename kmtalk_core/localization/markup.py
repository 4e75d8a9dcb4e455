"""XML without what it can do to a reader: no document types, no entities of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def xml_root(text: str) -> Element:
    """The root of an XML document; raises ValueError for one that is damaged or declares a document type."""
    from xml.etree import ElementTree  # few texts are XML

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<?xml"):  # what it says of its encoding is no longer true
        start = start.partition("?>")[2]
    try:
        return ElementTree.fromstring(start)
    except ElementTree.ParseError:
        raise ValueError from None


def local_name(element: Element) -> str:
    """An element's name without its namespace."""
    return re.sub(r"^\{[^}]*\}", "", str(element.tag))
