"""The numbers of the notional machine, as a table: each is asked of the machine, none is written down here."""

from __future__ import annotations

import inspect

from zonelab.course.real import Real
from zonelab.kernel import Recording, predict, recordings, replay
from zonelab.machine import BLOCK, MAX_ORDER, MIB, PAGE, Costs, Machine
from zonelab.machine.fault import CLUSTER
from zonelab.machine.node import LOCAL, REMOTE
from zonelab.machine.pages import BLOCK_MIB, Pages
from zonelab.machine.refuse import MOST_MIB
from zonelab.machine.slab import DENTRY, PER_PAGE
from zonelab.machine.state import MAX_IDS


def numbers() -> Real:
    """Sizes, marks, costs and limits of the machine, with Linux's names for them."""
    default = {name: p.default for name, p in inspect.signature(Machine).parameters.items() if p.default is not p.empty}
    machine = Machine(nodes=2, node_mib=256)
    machine.container("web", private_mib=32)
    zones = [machine.nodes[1].main, *machine.containers[0].zones]
    per_page = sum(array.itemsize for array in Pages(1).arrays())
    costs = Costs()
    rows = [
        ("page", f"{PAGE:,} bytes, {MIB} in a MiB", "PAGE_SIZE"),
        ("largest order of a free block", f"{MAX_ORDER}: 2^{MAX_ORDER} = {BLOCK:,} pages", "MAX_PAGE_ORDER"),
        ("smallest piece of a zone (block)", f"{BLOCK:,} pages, {BLOCK_MIB} MiB", "MAX_ORDER_NR_PAGES"),
        ("machine, if nothing is said", f"{default['nodes']} nodes of {default['node_mib']} MiB", ""),
        ("largest machine", f"{MOST_MIB:,} MiB", ""),
        ("distance of a node to itself, to others", f"{LOCAL}, {REMOTE}; other distances can be given", "node_distance()"),
        *(
            (
                f"watermarks of a zone of {zone.pages // MIB} MiB (machine of {machine.total_pages // MIB} MiB)",
                f"min {zone.min}, low {zone.low}, high {zone.high} pages",
                "WMARK_MIN, _LOW, _HIGH",
            )
            for zone in zones
        ),
        ("taken back at a time, at least", f"{CLUSTER} pages", "SWAP_CLUSTER_MAX"),
        ("swap, if nothing is said", f"{default['swap_mib']} MiB", ""),
        ("a dentry", f"{DENTRY} bytes, {PER_PAGE} in a page", "struct dentry"),
        ("a touch at distance 10, at distance 20", f"{costs.access_ns(LOCAL):g} ns, {costs.access_ns(2 * LOCAL):g} ns", ""),
        ("copying a page to another node", f"{costs.copy_page_ns:,.0f} ns", "migrate_pages()"),
        ("what the machine knows of a page", f"{per_page} bytes", "struct page (64 bytes)"),
        ("zones, containers, mappings", f"at most {MAX_IDS:,} each", ""),
    ]  # fmt: skip
    return Real("Numbers of the machine, as it is now.", ("what", "number", "in Linux"), rows)


def checked() -> Real:
    """Every recording that comes with the package, replayed now: what agrees with the kernel that was recorded."""
    rows = []
    for folder in ("numa4", "fake"):
        events = exact = stretches = known = wrong = 0
        for path in recordings():
            if path.parent.name == folder:
                recording = Recording(path, path.name)
                played, heads = list(replay(recording)), predict(recording)
                events += sum(one.events for one in played)
                exact += sum(one.exact for one in played)
                stretches += len(played)
                known, wrong = known + heads.known, wrong + heads.wrong
        rows.append((folder, f"{events:,}", f"{exact} of {stretches}", f"{known - wrong:,} of {known:,}"))
    return Real(
        "Free lists of a real kernel, and ours after the same requests.",
        ("machine", "events", "stretches where every free block is the same", "blocks taken that we foresaw"),
        rows,
    )
