"""What happened, as plain data: one Event for every decision, with its cause.

Events hold names and numbers only, never objects of the machine, so that they can be kept, compared and sent anywhere.
``describe`` turns one into an English sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One decision of the machine.

    Attributes:
        seq: 0, 1, 2 … since boot.
        kind: a key of ``SENTENCES``.
        cause: seq of the event that led to this one; None for a command from outside.
        data: names, pfns, counts of pages.
    """

    seq: int
    kind: str
    cause: int | None
    data: dict[str, Any]


def _pages(n: int) -> str:
    return f"{n:,} page" + "s" * (n != 1)


def _where(d: dict[str, Any]) -> str:
    n = d["pages"]
    return f"page {d['page']:,}" if n == 1 else f"pages {d['page']:,} to {d['page'] + n - 1:,}"


def _runs(runs: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"{a:,}" if n == 1 else f"{a:,}–{a + n - 1:,}" for a, n in runs[:3])
    return f"pfn {shown}" + (f" and {len(runs) - 3} more runs" if len(runs) > 3 else "")


def _split(d: dict[str, Any]) -> str:
    if d["from_order"] == d["order"]:
        return f"zone {d['zone']}: the head of its order-{d['order']} list is pfn {d['pfn']:,}, no split needed"
    back = " + ".join(str(1 << o) for o in range(d["order"], d["from_order"]))
    return (
        f"zone {d['zone']}: nothing free below order {d['from_order']}; that block is split, "
        f"pfn {d['pfn']:,} taken, {back} pages go back to the lists"
    )


SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "boot": lambda d: f"{d['nodes']} nodes boot with {_pages(d['pages'])}; all of it is in their main zones",
    "carve": lambda d: (
        f"zone {d['zone']} is carved out of {d['source']} on node {d['node']}: "
        f"{d['blocks']} blocks of 4 MiB from pfn {d['pfn']:,}"
    ),
    "grow": lambda d: f"zone {d['zone']} grows by {d['blocks']} blocks",
    "shrink": lambda d: f"zone {d['zone']} gives {d['blocks']} blocks back; {_pages(d['moved'])} moved out of them first",
    "merge": lambda d: (
        f"orphaned zone {d['zone']} is merged into {d['target']}: {d['blocks']} blocks and their free lists change hands, "
        f"{_pages(d['live'])} in use stay where they are, nothing coalesces"
    ),
    "account": lambda d: f"container {d['name']} is created" + (f" in set {d['set']}" if d.get("set") else ""),
    "set": lambda d: f"containers {', '.join(d['members'])} form the set {d['name']}",
    "mount": lambda d: f"file system {d['name']} is mounted",
    "file": lambda d: f"file {d['name']}: {_pages(d['pages'])}, none of them in memory",
    "task": lambda d: f"task {d['task']} starts in {d['container']} on node {d['node']}",
    "fork": lambda d: f"{d['parent']} forks {d['task']}: page tables are copied, no page is",
    "mmap": lambda d: f"{d['task']} maps {d['vma']}, {_pages(d['pages'])} ({d['how']}): nothing is allocated",
    "munmap": lambda d: f"{d['task']} gives up {d['vma']}: {_pages(d['freed'])} freed",
    "discard": lambda d: f"{d['task']} discards {d['vma']} {_where(d)}: {_pages(d['freed'])} freed",
    "pin": lambda d: f"{d['vma']} {_where(d)}: {'pinned' if d['pinned'] else 'no longer pinned'}",
    "fault": lambda d: f"fault: {d['task']} {'writes' if d['write'] else 'reads'} {d['vma']} {_where(d)}, not present",
    "hit": lambda d: f"{d['vma']} {_where(d)}: present already, no fault",
    "zero": lambda d: f"{d['vma']} {_where(d)}: the shared zero page is mapped, nothing allocated, nobody charged",
    "found": lambda d: f"{_where(d)} of {d['mapping']} found in the page cache at pfn {d['pfn']:,}: mapped, no new charge",
    "around": lambda d: f"{_pages(d['pages'])} of {d['vma']} near page {d['page']:,} are cached: mapped by the same fault",
    "ahead": lambda d: f"{_pages(d['pages'])} of {d['mapping']} are read from page {d['page']:,} on, some of them ahead of need",
    "attach": lambda d: f"{d['task']} is put into {d['container']}; what it has so far stays charged to {d['left']}",
    "truncate": lambda d: f"{d['mapping']} is cut to {_pages(d['pages'])}: {_pages(d['freed'])} freed",
    "syscall": lambda d: f"{d['task']} {'writes' if d['write'] else 'reads'} {_where(d)} of {d['mapping']} without a mapping",
    "route": lambda d: f"{d['what']} for {d['account']}: policy {d['policy']} says [{', '.join(d['zones']) or 'nowhere'}]",
    "skip": lambda d: f"zone {d['zone']}: {d['free']:,} free, not above its {d['mark_name']} mark {d['mark']:,}: passed over",
    "zone": lambda d: f"zone {d['zone']}: {d['free']:,} free, {d['mark_name']} mark {d['mark']:,}: may give {_pages(d['pages'])}",
    "split": _split,
    "page": lambda d: f"{_runs(d['runs'])} in zone {d['zone']}, charged to {d['account']}",
    "copy": lambda d: f"copy on write: {d['vma']} {_where(d)} gets a page of its own, the old one stays where it is",
    "limit": lambda d: f"{d['account']} is at its limit: {d['charged']:,} of {d['limit']:,} pages charged",
    "reclaim": lambda d: (
        f"reclaim in {d['where']} because {d['cause']} needs memory: {_pages(d['pages'])} taken back "
        f"({d['dropped']} dropped, {d['written']} written first, {d['swapped']} swapped out)"
    ),
    "refault": lambda d: f"refault: {_pages(d['pages'])} that reclaim had taken from {d['account']} come back",
    "swapin": lambda d: f"{_pages(d['pages'])} swapped in for {d['vma']}",
    "oom": lambda d: f"out of memory: {d['account']} still needs {_pages(d['pages'])}; {d['why']}",
    "move": lambda d: f"{d['name']} moves from node {d['source']} to node {d['target']}: {_pages(d['pages'])} to copy",
    "moved": lambda d: f"{_pages(d['pages'])} copied from {d['source']} to {d['target']} ({d['done']:,} of {d['total']:,})",
    "stay": lambda d: f"{_pages(d['pages'])} cannot move: {d['why']}",
    "undo": lambda d: f"the move is called off: {_pages(d['pages'])} go back, nothing is lost",
    "arrived": lambda d: f"{d['name']} now lives on node {d['node']}: {_pages(d['pages'])} moved, {_pages(d['stayed'])} stayed",
    "ended": lambda d: f"{d['name']} ended on the way to node {d['node']}: {_pages(d['pages'])} moved, {_pages(d['stayed'])} not",
    "exit": lambda d: f"{d['name']} exits: {_pages(d['freed'])} freed" + (
        f"; {_pages(d['left'])} live on, charged to {d['heir']}" if d.get("left") else ""
    ),
    "unlink": lambda d: f"{d['mapping']} is deleted: {_pages(d['freed'])} freed",
    "slab": lambda d: f"{d['objects']:,} dentries for {d['task']}: {_pages(d['pages'])} of slab more",
    "free": lambda d: (
        f"pfn {d['pfn']:,}, order {d['order']}, is freed in zone {d['zone']}: " + (
            f"its buddy is free, and so on: they merge into order {d['end_order']} at pfn {d['end']:,}"
            if d["end_order"] > d["order"] else f"its buddy {d['pfn'] ^ (1 << d['order']):,} is not free as a whole, nothing merges"
        )
    ),
    "shrink_slab": lambda d: (
        f"shrinker, reach {d['reach']}: {d['objects']:,} dentries thrown away, {_pages(d['pages'])} freed, "
        f"{d['wanted_there']} of them in {d['where']}"
    ),
}  # fmt: skip


def describe(event: Event) -> str:
    """The event as one English sentence, without a full stop."""
    return SENTENCES[event.kind](event.data)
