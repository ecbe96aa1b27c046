"""Many lines of separated fields, found and read by numpy: a recording has hundreds of thousands of them.

Python would spend a microsecond on each line just to split it. Here one look over the bytes finds all separators, and a
column is read only when somebody asks for it. Whatever is not as it should be is refused with the number of its line.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zonelab.errors import BadFormat

Ints = npt.NDArray[np.int64]

NEWLINE = 10
BAD = 255
DIGIT_VALUE = np.full(256, BAD, np.uint8)
"""Value of a byte as a digit, 255 for what is none; hexadecimal digits in lower case, as the kernel prints them."""
DIGIT_VALUE[ord("0") : ord("9") + 1] = np.arange(10)
DIGIT_VALUE[ord("a") : ord("f") + 1] = np.arange(10, 16)
MAX_DIGITS = {10: 18, 16: 16}
"""What fits in 64 bits."""


class Fields:
    """Lines of fields with one separator byte between them.

    Args:
        data: the text; every line ends with a newline, the last one too.
        separator: the byte between two fields.
        source: what to call the text in an error.
        first_line: number of the first line in the file that the text is from.

    Attributes:
        lines: how many.
        widths: fields of each line, int64[lines].
    """

    def __init__(self, data: bytes, separator: bytes, source: str, first_line: int = 1) -> None:
        self.source, self.first_line = source, first_line
        self.data = data
        self.bytes = np.frombuffer(data, np.uint8)
        if len(data) and self.bytes[-1] != NEWLINE:
            end = data.count(b"\n")
            torn = data.split(b"\n")[-1][:60]
            raise BadFormat(f"{source}: the last line is torn: {torn!r}", first_line + end, "a newline at its end")
        newlines = self.bytes == NEWLINE
        self._marks = np.flatnonzero(newlines | (self.bytes == separator[0]))
        self._last = np.flatnonzero(newlines[self._marks])
        self._first = np.concatenate(([0], self._last[:-1] + 1)) if len(self._last) else self._last
        self.lines = len(self._last)
        self.widths: Ints = self._last - self._first + 1

    def line(self, row: int) -> str:
        """One whole line, for messages."""
        start = int(self._marks[self._last[row - 1]]) + 1 if row else 0
        return self.data[start : int(self._marks[self._last[row]])].decode(errors="replace")

    def refuse(self, row: int, what: str, expected: str) -> BadFormat:
        """The error to raise about this line."""
        return BadFormat(f"{self.source}: {what}: {self.line(row)[:80]!r}", self.first_line + row, expected)

    def _bounds(self, rows: Ints, field: int) -> tuple[Ints, Ints]:
        """Where the field starts in each row, and how long it is. Every row must have it."""
        at = self._first[rows] + field
        starts = self._marks[at - 1] + 1  # behind the last mark; also right for field 0, whose last mark is a newline
        if field == 0 and len(rows):
            starts = np.where(at == 0, 0, starts)
        return starts, self._marks[at] - starts

    def bytes_at(self, rows: Ints, field: int) -> npt.NDArray[np.uint8]:
        """A column of single characters; 0 where the field is not exactly one byte long."""
        starts, lengths = self._bounds(rows, field)
        return np.where(lengths == 1, self.bytes[starts], 0).astype(np.uint8)

    def numbers(self, rows: Ints, field: int, base: int = 10) -> Ints:
        """A column of numbers, int64[rows]. O(digits).

        Raises:
            BadFormat: a field is empty, too long, or not a number in this base.
        """
        starts, lengths = self._bounds(rows, field)
        out = np.zeros(len(rows), np.uint64)
        for length in np.unique(lengths).tolist():
            same = np.flatnonzero(lengths == length)
            if not 0 < length <= MAX_DIGITS[base]:
                raise self._not_a_number(int(rows[same[0]]), field, base)
            digits = DIGIT_VALUE[self.bytes[starts[same, None] + np.arange(length)]]
            wrong = (digits >= base).any(axis=1)
            if wrong.any():
                raise self._not_a_number(int(rows[same[np.argmax(wrong)]]), field, base)
            out[same] = digits @ (np.uint64(base) ** np.arange(length - 1, -1, -1, dtype=np.uint64))
        return out.astype(np.int64)

    def _not_a_number(self, row: int, field: int, base: int) -> BadFormat:
        kind = "decimal" if base == 10 else "hexadecimal"
        return self.refuse(
            row, f"field {field + 1} is not a number", f"a {kind} number of at most {MAX_DIGITS[base]} digits"
        )

    def text(self, row: int, field: int) -> str:
        """Everything from this field to the end of the line."""
        start = int(self._marks[self._first[row] + field - 1]) + 1
        return self.data[start : int(self._marks[self._last[row]])].decode(errors="replace")
