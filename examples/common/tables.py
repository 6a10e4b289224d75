"""Tables of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.claims import Claims


def table(stage: Claims, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; its first column is text, the others are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        first, *rest = row
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        stage.note("  ".join([first.ljust(widths[0]), *numbers]))
