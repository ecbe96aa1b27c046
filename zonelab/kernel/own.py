"""A simulated machine in the shape of a real one: its nodes and distances, and memory in the pieces that it is in now.

What ``numactl --hardware`` and ``/proc/buddyinfo`` say is enough. What is in use when we look is entered as the kernel's own
memory: it stays where it is, for the two texts do not say what it holds. Where the free blocks lie is not in them either; only how
many there are of each order.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zonelab.errors import BadRequest
from zonelab.kernel import buddyinfo, numactl
from zonelab.machine import BLOCK, MAX_ORDER, Machine
from zonelab.machine.node import Node
from zonelab.machine.pages import BLOCK_MIB, KERNEL

MOST_MIB = 1 << 20
"""1 TiB in all: the page arrays of more would not fit in an ordinary computer."""


def this_computer(root: str | Path = "/") -> tuple[str, str]:
    """``numactl --hardware`` and ``/proc/buddyinfo`` of the Linux that we run on, the first put together from ``/sys``.

    Raises:
        BadRequest: this is no Linux, or it shows neither.
    """
    root = Path(root)
    nodes = []
    rows = []
    folders = sorted((root / "sys/devices/system/node").glob("node[0-9]*"), key=lambda folder: int(folder.name[4:]))
    if not folders:
        raise BadRequest(
            f"{root / 'sys/devices/system/node'} has no nodes: this is no Linux; give the texts of another machine"
        )
    try:
        for folder in folders:
            found = dict(re.findall(r"Node \d+ (MemTotal|MemFree): +(\d+) kB", (folder / "meminfo").read_text()))
            listed = (folder / "cpulist").read_text().strip()
            cpus = tuple(numactl.node_ids(listed, 1)) if listed else ()
            nodes.append(
                numactl.HardwareNode(
                    int(folder.name[4:]), cpus, int(found["MemTotal"]) >> 10, int(found["MemFree"]) >> 10
                )
            )
            rows.append(tuple(map(int, (folder / "distance").read_text().split())))
        buddies = (root / "proc/buddyinfo").read_text()
    except (OSError, KeyError, ValueError) as error:
        raise BadRequest(
            f"{root} does not tell its nodes as Linux does ({error}); give the texts of another machine"
        ) from None
    if not nodes:
        raise BadRequest(
            f"{root}sys/devices/system/node has no nodes: this is no Linux; give the texts of another machine"
        )
    return numactl.format_hardware(numactl.Hardware(tuple(nodes), tuple(rows))), buddies


def machine_like(numactl_text: str, buddyinfo_text: str = "", **options: object) -> Machine:
    """A machine with these nodes, distances and, if given, these free blocks.

    Args:
        numactl_text: of ``numactl --hardware``; buddyinfo_text: of ``/proc/buddyinfo`` on the same machine.
        options: other arguments of ``Machine``.

    Raises:
        BadFormat: a text is torn or foreign.
        BadRequest: the two do not belong together; a node without memory or its size; more memory than we can simulate.
    """
    hardware = numactl.parse(numactl_text)
    sizes = []
    for node in hardware.nodes:
        if node.size_mib is None or node.size_mib < 2 * BLOCK_MIB:
            raise BadRequest(
                f"node {node.id} has {node.size_mib or 0} MB; each node needs at least {2 * BLOCK_MIB} MB to be simulated"
            )
        sizes.append(node.size_mib // BLOCK_MIB * BLOCK_MIB)
    if sum(sizes) > MOST_MIB:
        raise BadRequest(f"{sum(sizes):,} MB in all; we can simulate up to {MOST_MIB:,} MB")
    rows = buddyinfo.parse(buddyinfo_text) if buddyinfo_text.strip() else []
    names = [node.id for node in hardware.nodes]
    strange = sorted({row.node for row in rows} - set(names))
    if strange:
        raise BadRequest(f"buddyinfo has node {strange[0]}, numactl has nodes {names}: are both from the same machine?")
    distances = [list(row) for row in hardware.distances] if hardware.distances is not None else None
    machine = Machine(nodes=len(sizes), node_mib=sizes, distances=distances, **options)  # type: ignore[arg-type]
    for ours, name in zip(machine.nodes, names, strict=True):
        counts = np.zeros(MAX_ORDER + 1, np.int64)
        for row in rows:
            if row.node == name:
                counts += _as_ours(row.counts)
        if rows:
            _break_up(machine, ours, counts.tolist())
    return machine


def _as_ours(counts: tuple[int, ...]) -> np.ndarray:
    """Counts of a kernel whose largest order is another than ours: larger blocks are so many of order 10."""
    ours = np.zeros(MAX_ORDER + 1, np.int64)
    for order, count in enumerate(counts):
        ours[min(order, MAX_ORDER)] += count << max(0, order - MAX_ORDER)
    return ours


def _break_up(machine: Machine, node: Node, counts: list[int]) -> None:
    """Leave exactly these free blocks on a node, by giving all other pages to the kernel.

    No two free buddies may come to lie beside each other, else they would be one block. So in each half of a block that is not
    free as a whole at least one page is used: the largest piece that is wanted goes into the lower half, the next ones into
    the upper half, down to one used page.
    """
    want = counts[:]
    used: list[tuple[int, int]] = []

    def fill(pfn: int, order: int) -> None:
        """Lay wanted pieces into a block that has to keep a used page."""
        if not any(want[:order]):
            used.append((pfn, order))
            return
        half = 1 << (order - 1)
        if want[order - 1]:
            want[order - 1] -= 1
        else:
            fill(pfn, order - 1)
        fill(pfn + half, order - 1)

    blocks = node.pages // BLOCK - want[MAX_ORDER]
    for block in range(max(0, blocks)):
        fill(node.start_pfn + block * BLOCK, MAX_ORDER)
    left = sum(count << order for order, count in enumerate(want[:MAX_ORDER]))
    if left or blocks < 0:
        free = sum(count << order for order, count in enumerate(counts))
        raise BadRequest(
            f"node {node.id} has {node.pages:,} pages; {free:,} free ones, in blocks as buddyinfo has them, do not fit: is it "
            "of this machine, and of now?"
        )
    area = node.main.free_area
    pages, kernel, root = machine.pages, machine.kernel, machine.root
    for pfn, order in used:
        taken = area.claim(pfn, order)
        assert taken, f"pfn {pfn} of order {order} is not free"
        here = slice(pfn, pfn + (1 << order))
        pages.owner[here], pages.mapping[here], pages.flags[here] = root.id, kernel.id, KERNEL
        pages.index[here] = np.arange(pfn, pfn + (1 << order), dtype=np.uint32)
        machine.kernel_blocks[pfn] = order
        root.charged += 1 << order
        machine.dirty[pfn >> MAX_ORDER] = True


__all__ = ["machine_like"]
