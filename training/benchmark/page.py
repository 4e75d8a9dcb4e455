"""A report in two forms from the same blocks: report.md with files beside it, report.html with everything inside."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from kmtalk_core.files import save_text

STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em; color: #1c1c1c }
table { border-collapse: collapse; margin: .6em 0; font-size: 13px; display: block; overflow-x: auto }
td, th { border: 1px solid #ccc; padding: 3px 7px; text-align: left; white-space: nowrap }
th { background: #eef2f6 } img, video, svg { max-width: 100%; height: auto; display: block; margin: .6em 0 }
figcaption { color: #555; font-size: 13px } code { background: #f2f2f2 }
"""
KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".mp4": "video/mp4"}


@dataclass(frozen=True)
class Picture:
    """A .png, .svg or .mp4 with what it shows."""

    path: Path
    caption: str


Block = str | Picture
"""A picture, or lines of Markdown: headings, lists, tables and paragraphs."""


def write_page(folder: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write FOLDER/report.md and FOLDER/report.html, each whole or not at all. Pictures that are missing are left out,
    so that a report can be looked at while it grows."""
    kept = [block for block in blocks if isinstance(block, str) or block.path.is_file()]
    lines = [f"# {title}", ""]
    body = [f"<h1>{escape(title)}</h1>"]
    for block in kept:
        if isinstance(block, str):
            lines += [block, ""]
            body.append(html(block))
        else:
            where = block.path.relative_to(folder).as_posix()
            film = block.path.suffix == ".mp4"
            lines += [f"[{block.caption}]({where})" if film else f"![{block.caption}]({where})", ""]
            body.append(_figure(block))
    save_text("\n".join(lines), folder / "report.md")
    save_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style>\n<body>\n{chr(10).join(body)}\n</body></html>\n",
        folder / "report.html",
    )


def _figure(picture: Picture) -> str:
    content = picture.path.read_bytes()
    source = f"data:{KINDS[picture.path.suffix]};base64,{base64.b64encode(content).decode()}"
    caption = escape(picture.caption)
    if picture.path.suffix == ".svg":
        shown = content.decode()
    elif picture.path.suffix == ".mp4":
        shown = f'<video controls src="{source}"></video>'
    else:
        shown = f'<img alt="{caption}" src="{source}">'
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def html(markdown: str) -> str:
    """The little Markdown that reports are written in as HTML."""
    return "\n".join(_blocks(markdown.splitlines()))


def _blocks(lines: list[str]) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        if line.startswith("|"):
            rows = _while(lines, place, "|")
            place += len(rows)
            yield _table(rows)
        elif line.startswith("- "):
            rows = _while(lines, place, "- ")
            place += len(rows)
            yield "<ul>" + "".join(f"<li>{escape(row[2:])}</li>" for row in rows) + "</ul>"
        else:
            place += 1
            depth = len(line) - len(line.lstrip("#"))
            if depth and line[depth : depth + 1] == " ":
                yield f"<h{depth}>{escape(line[depth + 1 :])}</h{depth}>"
            elif line.strip():
                yield f"<p>{escape(line)}</p>"


def _while(lines: list[str], place: int, start: str) -> list[str]:
    end = place
    while end < len(lines) and lines[end].startswith(start):
        end += 1
    return lines[place:end]


def _table(rows: list[str]) -> str:
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in cells[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells[2:])
    return f"<table><tr>{head}</tr>{body}</table>"
