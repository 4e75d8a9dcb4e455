"""Bars and curves as SVG, which a page holds without any script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, log10

WIDTH, ROW, LEFT, RIGHT, TOP = 640, 24, 150, 90, 26  # pixels
CURVE_HEIGHT = 150
COLOURS = ("#2266aa", "#d64528", "#2a8a4a", "#8a4fa0", "#b8860b", "#3a8fa0", "#c2417c", "#666666")


@dataclass(frozen=True)
class Bar:
    """`values` of all seeds; `reported`: the figure that a paper gives, or None."""

    name: str
    values: Sequence[float]
    reported: float | None = None


def bars(title: str, rows: Sequence[Bar]) -> str:
    """A bar a row as long as the mean of its values, a dot for each of them, and a ring for the reported figure."""
    known = [v for row in rows for v in (*row.values, *([] if row.reported is None else [row.reported])) if isfinite(v)]
    top = max([abs(v) for v in known], default=0.0) or 1.0
    unit = (WIDTH - LEFT - RIGHT) / top
    body = []
    for number, row in enumerate(rows):
        y, values = TOP + number * ROW, [v for v in row.values if isfinite(v)]
        body.append(_text(LEFT - 8, y + 16, row.name, "end"))
        if values:
            mean = sum(values) / len(values)
            body.append(f'<rect x="{LEFT}" y="{y + 5}" width="{abs(mean) * unit:.1f}" height="14" fill="#9db8d6"/>')
            body += [f'<circle cx="{LEFT + abs(v) * unit:.1f}" cy="{y + 12}" r="3" fill="#123a66"/>' for v in values]
            body.append(_text(LEFT + abs(max(values, key=abs)) * unit + 8, y + 16, f"{mean:.3g}"))
        if row.reported is not None and isfinite(row.reported):
            at = LEFT + abs(row.reported) * unit
            body.append(f'<circle cx="{at:.1f}" cy="{y + 12}" r="6" fill="none" stroke="#d64528" stroke-width="2"/>')
    return _svg(title, TOP + len(rows) * ROW + 6, body)


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """(x, y) of each line, y on a logarithmic scale where all are above zero."""
    points = [(x, y) for line in lines.values() for x, y in line if isfinite(y)]
    if not points:
        return ""
    logarithmic = min(y for _, y in points) > 0

    def height(y: float) -> float:
        return log10(y) if logarithmic else y

    low, high = min(height(y) for _, y in points), max(height(y) for _, y in points)
    last = max(x for x, _ in points) or 1.0
    wide, tall = WIDTH - LEFT - 20, CURVE_HEIGHT
    body = [
        f'<rect x="{LEFT}" y="{TOP}" width="{wide}" height="{tall}" fill="none" stroke="#bbbbbb"/>',
        _text(LEFT - 6, TOP + 10, f"{max(y for _, y in points):.3g}", "end"),
        _text(LEFT - 6, TOP + tall, f"{min(y for _, y in points):.3g}", "end"),
        _text(LEFT + wide, TOP + tall + 14, f"step {last:g}", "end"),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [
            f"{LEFT + x / last * wide:.1f},{TOP + tall * (1 - (height(y) - low) / max(high - low, 1e-12)):.1f}"
            for x, y in line
            if isfinite(y)
        ]
        body.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        body.append(_text(8, TOP + 28 + 15 * number, name, colour=colour))
    return _svg(title, TOP + max(tall, 28 + 15 * len(lines)) + 22, body)


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#222222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(title: str, height: int, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f"{_text(8, 16, title)}\n{chr(10).join(body)}\n</svg>\n"
    )
