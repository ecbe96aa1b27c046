"""What the readers of the kernel's text formats share."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zonelab.errors import BadFormat

NUMBER = re.compile(r"[0-9]{1,19}")


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers, counted from 1, and without blanks at the end."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip()


def number(word: str, line: int, what: str) -> int:
    """A decimal number as the kernel prints one, of at most 64 bits; BadFormat about this line if it is something else."""
    if not NUMBER.fullmatch(word):
        raise BadFormat(f"{word[:40]!r} for {what}", line, "a decimal number")
    return int(word)
