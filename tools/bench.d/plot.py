"""A plot as SVG, written by hand: lines with points on two axes that begin at 0. Pure. Standard library only."""

from collections.abc import Mapping, Sequence
from math import floor, log10
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48
COLOURS = ("#0b5fa5", "#c2571a", "#2e7d4f", "#7a7a7a", "#7b3fa0")
STEPS = 5
"""About so many lines of the grid."""

Points = Sequence[tuple[float, float]]


def step(most: float, steps: int = STEPS) -> float:
    """A round distance between the lines of a grid up to `most`: 1, 2 or 5 with zeros."""
    if most <= 0:
        return 1.0
    rough = most / steps
    unit = 10.0 ** floor(log10(rough))
    return next(factor * unit for factor in (1.0, 2.0, 5.0, 10.0) if factor * unit >= rough * 0.999)


def svg(title: str, across: str, up: str, lines: Mapping[str, Points]) -> str:
    """The plot; each line by its name, named again beside its colour."""
    points = [point for line in lines.values() for point in line]
    steps = step(max((x for x, _ in points), default=1.0)), step(max((y for _, y in points), default=1.0))
    most = tuple(-(-max((point[axis] for point in points), default=1.0) // steps[axis]) * steps[axis] or 1.0 for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / most[0] * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / most[1] * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})">{escape(up)}</text>',
    ]
    for mark in range(round(most[0] / steps[0]) + 1):
        x, y = place(mark * steps[0], 0)
        parts.append(f'<path d="M{x:.1f} {y:.1f}V{TOP}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{mark * steps[0]:g}</text>')
    for mark in range(round(most[1] / steps[1]) + 1):
        x, y = place(0, mark * steps[1])
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{mark * steps[1]:g}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        at = [place(x, y) for x, y in line]
        parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
        parts.append(f'<text x="{WIDTH - RIGHT - 8}" y="{TOP + 16 + 16 * number}" text-anchor="end" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
