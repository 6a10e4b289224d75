"""Draws shares of endpoints and open moves over time, as SVG."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

WIDTH, LEFT, RIGHT = 1000, 64, 150
# The tops and heights of the two charts.
SHARES, MOVES = (104, 320), (484, 90)
FONT = 'font-family="sans-serif" font-size="12"'
# Hues far apart for endpoints that follow each other.
PALETTE = [f"hsl({number * 137.5 % 360:.0f} 55% {58 + number % 3 * 8}%)" for number in range(16)]


class Sample(NamedTuple):
    """What was seen at a moment: seconds since the start, slices of each endpoint, and open moves."""

    at: float
    slices: dict[str, int]
    moves: int


class Picture:
    """What is drawn."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.samples: list[Sample] = []
        self.marks: list[tuple[float, str]] = []

    def _x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / max(1.0, self.samples[-1].at)

    def _steps(self, values: list[float], top: float, height: float, most: float) -> list[tuple[float, float]]:
        """Returns the corners of a line of steps, from the left to the right."""
        xs = [self._x(one.at) for one in self.samples]
        ys = [top + height * (1 - value / most) for value in values]
        points = list(zip(xs, ys, strict=True))
        corners = [points[0]]
        for (_, before), (x, y) in pairwise(points):
            corners += [(x, before), (x, y)]
        return corners

    def draw(self, file: Path) -> None:
        """Writes it."""
        names = sorted({name for one in self.samples for name in one.slices}, key=lambda name: (len(name), name))
        total = max(sum(one.slices.values()) for one in self.samples)
        end = WIDTH - RIGHT
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 640" {FONT}>',
            f'<rect width="{WIDTH}" height="640" fill="#fff"/>',
            f'<text x="{LEFT}" y="26" font-size="17">{escape(self.title)}</text>',
        ]
        (top, height), (moves_top, moves_height) = SHARES, MOVES
        below = [0.0] * len(self.samples)
        for number, name in enumerate(names):
            above = [low + one.slices.get(name, 0) for low, one in zip(below, self.samples, strict=True)]
            line = self._steps(above, top, height, total) + self._steps(below, top, height, total)[::-1]
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
            colour = PALETTE[number % len(PALETTE)]
            out.append(f'<polygon points="{points}" fill="{colour}" stroke="#fff" stroke-width=".6"/>')
            row = top + 10 + number * 19
            out.append(f'<rect x="{end + 16}" y="{row - 9}" width="11" height="11" fill="{colour}"/>')
            out.append(f'<text x="{end + 33}" y="{row + 1}">{escape(name)}</text>')
            below = above
        for share in (0, 25, 50, 75, 100):
            y = top + height * (1 - share / 100)
            out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share} %</text>')
        out.append(f'<text x="{LEFT}" y="{top - 56}" fill="#555">shares of the slices, for new flows</text>')
        most = max(1, *(one.moves for one in self.samples))
        line = self._steps([float(one.moves) for one in self.samples], moves_top, moves_height, most)
        base = moves_top + moves_height
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(LEFT, base), *line, (line[-1][0], base)])
        out.append(f'<polygon points="{points}" fill="#9ab" stroke="#567" stroke-width=".8"/>')
        out.append(f'<text x="{LEFT}" y="{moves_top - 12}" fill="#555">open moves</text>')
        for value, level in ((most, moves_top), (0, base)):
            out.append(f'<text x="{LEFT - 8}" y="{level + 4}" text-anchor="end">{value}</text>')
        whole = self.samples[-1].at
        step = next((step for step in (5, 10, 20, 30, 60) if whole / step <= 12), 120)
        for tick in range(0, int(whole) + 1, step):
            x = self._x(tick)
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 5}" stroke="#333"/>')
            out.append(f'<text x="{x:.1f}" y="{base + 20}" text-anchor="middle">{tick} s</text>')
        # Marks that are close to each other have their words in rows of their own.
        free = [float("-inf")] * 3
        for at, text in self.marks:
            x = self._x(at)
            place = next((place for place in range(3) if free[place] <= x), 0)
            words = top - 10 - place * 14
            free[place] = x + 7.0 * len(text) + 14
            line_at = f'x1="{x:.1f}" x2="{x:.1f}" y1="{words - 10}" y2="{base}"'
            out.append(f'<line {line_at} stroke="#111" stroke-dasharray="4 3" opacity=".7"/>')
            out.append(f'<text x="{x + 4:.1f}" y="{words}">{escape(text)}</text>')
        out.append(f'<rect x="{LEFT}" y="{top}" width="{end - LEFT}" height="{height}" fill="none" stroke="#333"/>')
        out.append(f'<line x1="{LEFT}" x2="{end}" y1="{base}" y2="{base}" stroke="#333"/>')
        file.write_text("\n".join([*out, "</svg>"]) + "\n")
