"""What zonelab says when something cannot be done.

Few types, each with the numbers in its message: what was asked, what is wrong with it, and what would be right.
A command that raises :class:`BadRequest` has changed nothing.
"""

from __future__ import annotations


class ZonelabError(Exception):
    """Any error that zonelab raises on purpose."""


class BadRequest(ZonelabError, ValueError):
    """The request cannot be granted as it stands; nothing was changed."""


class OutOfMemory(ZonelabError):
    """No zone of the zonelist could give a page, and reclaim found nothing: the kernel would call ``out_of_memory()``.

    An outcome, not a crash: pages that the same command got before are kept, and the machine is consistent.

    Attributes:
        container: name of the account that asked.
        wanted: pages still missing when the allocator gave up.
        zones: one ``(name, free, min, low)`` per zone tried, in zonelist order, in pages.
        why: one sentence a line, the reasons why reclaim could not help.
    """

    def __init__(self, container: str, wanted: int, zones: list[tuple[str, int, int, int]], why: str) -> None:
        self.container, self.wanted, self.zones, self.why = container, wanted, zones, why
        tried = ", ".join(f"{name} ({free} free, min {low_min}, low {low})" for name, free, low_min, low in zones)
        super().__init__(
            f"out of memory: {container} still needs {wanted} page{'s' * (wanted != 1)}; "
            f"tried {tried or 'no zone at all'}; {why}"
        )


class BadFormat(ZonelabError, ValueError):
    """Text or a file that is torn, truncated or foreign.

    Attributes:
        line: number of the offending line, counted from 1; None when the whole input is meant.
        expected: what would have been right there.
    """

    def __init__(self, what: str, line: int | None = None, expected: str | None = None) -> None:
        self.line, self.expected = line, expected
        place = "" if line is None else f"line {line}: "
        super().__init__(f"{place}{what}" + (f"; expected {expected}" if expected else ""))


class BrokenInvariant(ZonelabError, AssertionError):
    """``machine.check()`` found a state that must never exist: a bug in zonelab, or in a policy written by hand."""
