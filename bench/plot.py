"""Line plots as SVG: both axes logarithmic, a handful of series. Matplotlib would be 100 MB for these two pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 640, 360, 70, 40, 50, 150
COLOURS = ("#1f6fb2", "#c2452d", "#3c8f3c", "#7a4fa3")
Points = Sequence[tuple[float, float]]


def _ticks(least: float, most: float) -> list[float]:
    """Give the powers of ten around some values, with 2 and 5 of each where there are few."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    all_of_them = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [each for each in all_of_them if least * 0.999 <= each <= most * 1.001]


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def svg(title: str, x_name: str, y_name: str, series: Mapping[str, Points]) -> str:
    """Draw series of points (all above 0) as a picture; what is plotted is in the title and the axes' names."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys) * 0.8, max(ys) * 1.25

    def at(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / low_x) / math.log(high_x / low_x)
        up = math.log(y / low_y) / math.log(high_y / low_y)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 10}">{escape(x_name)}</text>',
        f'<text x="{WIDTH - RIGHT + 10}" y="{HEIGHT - 10}">{escape(y_name)}</text>',
    ]
    for value in sorted(set(xs)):
        x, y = at(value, low_y)
        parts.append(f'<text x="{x:.0f}" y="{y + 16:.0f}" text-anchor="middle">{_short(value)}</text>')
    for value in _ticks(low_y, high_y):
        x, y = at(low_x, value)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{_short(value)}</text>')
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in sorted(points)))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 18 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{y + 10}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
