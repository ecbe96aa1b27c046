"""An independent, naive model of a machine's memory: no buddies, no pfns, one Python object a page.

It knows what each page table and each file holds, who pays, and nothing of where pages lie or which are reclaimed: that
it asks the machine, and checks that the answer is possible.
"""

from __future__ import annotations

from zonelab.machine import Machine
from zonelab.machine.memory import VMA, Mapping

ZERO = "the zero page"


class Page:
    """One page in memory: who is charged for it, and whether it belongs to a file."""

    def __init__(self, payer: str, file: bool) -> None:
        self.payer, self.file = payer, file


class Naive:
    """Page tables and page caches as dicts: index → Page, or ZERO."""

    def __init__(self) -> None:
        self.caches: dict[Mapping, dict[int, Page]] = {}
        self.tables: dict[int, dict[int, object]] = {}
        self.vmas: dict[int, VMA] = {}  # the machine's own, by id
        self.kernel: dict[int, list[Page]] = {}
        self.evicted = 0

    def map(self, vma) -> None:
        self.tables[id(vma)], self.vmas[id(vma)] = {}, vma
        if vma.file is not None:
            self.caches.setdefault(vma.file, {})

    def unmap(self, vma) -> None:
        del self.tables[id(vma)], self.vmas[id(vma)]
        if vma.file is not None and not vma.file.keep and not vma.file.vmas:
            self.caches.pop(vma.file, None)

    def fork(self, parent, child) -> None:
        for one, other in zip(parent.vmas, child.vmas, strict=True):
            self.map(other)
            self.tables[id(other)] = dict(self.tables[id(one)])

    def cached(self, file: Mapping, index: int, payer: str) -> Page:
        return self.caches.setdefault(file, {}).setdefault(index, Page(payer, True))

    def touch(self, vma, at: int, write: bool) -> None:
        table, payer = self.tables[id(vma)], vma.task.container.name
        there = table.get(at)
        private = not vma.shared
        if private and write:
            sharers = sum(there in other.values() for other in self.tables.values()) if isinstance(there, Page) else 0
            if not isinstance(there, Page) or there.file or sharers > 1:
                if there is None and vma.file is not None:
                    self.cached(vma.file, vma.offset + at, payer)  # what is copied has to be read first
                table[at] = Page(payer, False)
        elif there is None:
            table[at] = ZERO if vma.file is None else self.cached(vma.file, vma.offset + at, payer)

    def exit(self, name: str) -> None:
        """A container is gone: what others may still use is charged to root."""
        for page in self.pages():
            if page.payer == name:
                page.payer = "root"

    def pages(self) -> set[Page]:
        tables = [page for table in self.tables.values() for page in table.values()]
        everywhere = [*tables, *(page for cache in self.caches.values() for page in cache.values())]
        kernel = [page for block in self.kernel.values() for page in block]
        return {page for page in [*everywhere, *kernel] if isinstance(page, Page)}

    def lose(self, m: Machine) -> None:
        """Take out what the machine has reclaimed: pages of files only, for there is no swap."""
        for file, cache in self.caches.items():
            for index in [index for index in cache if file.cache[index] < 0]:
                page = cache.pop(index)
                assert file.kind == "file", f"{file.name} has no file to be read from again"
                self.evicted += 1
                for table in self.tables.values():
                    for at in [at for at, held in table.items() if held is page]:
                        del table[at]

    def agree(self, m: Machine) -> None:
        """Every page of the one is a page of the other, with the same payer, in every table and cache."""
        self.lose(m)
        frames: dict[int, Page] = {}

        def same(pfn: int, page: object, where: str) -> None:
            assert isinstance(page, Page) and pfn >= 0, f"{where}: pfn {pfn}, but the model has {page}"
            assert frames.setdefault(pfn, page) is page, f"{where}: pfn {pfn} holds two pages"
            owner = m.accounts[int(m.pages.owner[pfn])]
            assert owner is not None and owner.name == page.payer, f"{where}: {owner} pays, not {page.payer}"

        for key, table in self.tables.items():
            vma = self.vmas[key]
            entries = vma.table.tolist()
            for at, entry in enumerate(entries):
                held = table.get(at)
                if entry == -1 or held is None:
                    assert entry == -1 and held is None, f"{vma} page {at}: {entry}, but the model has {held}"
                elif entry == -2 or held is ZERO:
                    assert entry == -2 and held is ZERO
                else:
                    same(entry, held, f"{vma} page {at}")
        for file, cache in self.caches.items():
            for index, page in cache.items():
                same(int(file.cache[index]), page, f"{file.name} page {index}")
        for pfn, block in self.kernel.items():
            for at, page in enumerate(block):
                same(pfn + at, page, "the kernel")
        pages = self.pages()
        assert len(pages) == len(frames), "a page of the model is nowhere in the machine, or two are one"
        total, free, used = m.conserved()
        assert (used, free) == (len(pages), total - len(pages))
        for account in m.accounts:
            if account is not None:
                assert account.charged == sum(page.payer == account.name for page in pages), account.name
        in_zone: dict[str, int] = {zone.name + str(zone.id): zone.pages for zone in m.zones}
        for pfn in frames:
            zone = m.zone_of(pfn)
            in_zone[zone.name + str(zone.id)] -= 1
        assert in_zone == {zone.name + str(zone.id): zone.free_pages for zone in m.zones}
