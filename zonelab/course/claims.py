"""The claims that the course teaches, from the mail it starts from, in our own words, and the units that show them.

A unit's page carries a claim's id as the tag of the cell in which it is seen happening.
"""

from __future__ import annotations

from typing import NamedTuple


class Claim(NamedTuple):
    """What is claimed, and the numbers of the units where it is met."""

    text: str
    units: tuple[str, ...]


CLAIMS = {
    "C1": Claim(
        "A zone can belong to a container, for private data, and a second one to a set of containers.", ("00", "04")
    ),
    "C2": Claim(
        "The decision is made at the page fault, when the faulting mapping is known; mapping allocates nothing.",
        ("05",),
    ),
    "C3": Claim("Whoever allocates chooses, or makes, the zonelist that suits the container.", ("02", "04")),
    "C4": Claim("The zonelist of a shared mapping is one zone: the shared zone of the set.", ("05",)),
    "C5": Claim(
        "The zonelist of a private mapping is one zone; which one, our copy of the mail leaves to the reader.", ("05",)
    ),
    "C6": Claim("Overcommit: zones that may be borrowed from are appended to the zonelist.", ("00", "06")),
    "C7": Claim("Overcommit lets containers interfere; who turns it on accepts that.", ("06",)),
    "C8": Claim("Two sets can each have a shared zone and still need one common file.", ("07",)),
    "C9": Claim(
        "Shared data that a container without a shared zone faults in is charged to it, on behalf of all others.",
        ("07",),
    ),
    "C10": Claim("There may be no sane way to account for that fairly.", ("07",)),
    "C11": Claim(
        "Once data is shared at all, containers can disturb each other, by reclaim in the shared zone.", ("08",)
    ),
    "C12": Claim("The zonelist is chosen before the fault; once allocated, a page stays where it is.", ("05",)),
    "C13": Claim("Whom a zone is assigned to is open: at least one per container mount, for private data.", ("04",)),
    "C14": Claim("Shrinking dentry caches is coarse: not even per node, let alone per zone.", ("08",)),
    "C15": Claim("A zone whose owner is gone is merged back into the main zone.", ("09",)),
    "C16": Claim("Zones of contiguous, aligned MAX_ORDER blocks make the look-up from page to zone cheap.", ("03",)),
    "C17": Claim("They also keep the buddy allocator's assumption that such a block never lies in two zones.", ("03",)),
    "C18": Claim("One such block, MAX_ORDER_NR_PAGES pages, is the smallest zone.", ("03",)),
    "C19": Claim("Moving a task is not easy: a new zone on the new node, and all data migrated.", ("00", "10")),
}
