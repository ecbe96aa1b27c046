"""Charging rules: who pays for a page, and how the bill is drawn up (C10).

``pages.owner`` is one account a page: who is charged by the machine itself. Two rules (first touch, last touch) say whom
to write there; the others leave first touch in place and split the bill among the users of each page when it is asked for.
A bill always adds up to the pages in use.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from zonelab.machine.memory import by_mapping, users
from zonelab.machine.pages import Pfns

if TYPE_CHECKING:
    from zonelab.machine.container import Container
    from zonelab.machine.state import State

Bill = dict[str, Fraction]
"""Account (or set) name → pages."""


class Rule:
    """First touch: who had the page allocated is charged for it until it is freed (memcg's rule)."""

    name = "first touch"
    follows_touches = False
    """Whether ``touched`` does anything; the fault path asks, so that the common rules cost nothing."""

    def touched(self, machine: State, account: Container, pfns: Pfns) -> None:
        """`account` used these resident pages."""

    def bill(self, machine: State) -> Bill:
        """Pages charged to each account; sums to the pages in use."""
        return {c.name: Fraction(c.charged) for c in machine.accounts[1:] if c is not None and (c.charged or c.alive)}


class FirstTouch(Rule):
    """Who had the page allocated pays until it is freed."""


class LastTouch(Rule):
    """Who used the page last pays: the bill follows the user, and a reader can be made to pay for a writer's page.

    An account that is at its limit takes over no more pages; they stay on the bill of whoever had them.
    """

    name = "last touch"
    follows_touches = True

    def touched(self, machine: State, account: Container, pfns: Pfns) -> None:
        owner = machine.pages.owner[pfns]
        other = pfns[owner != account.id]
        if account.limit is not None:
            other = other[: account.limit - account.charged]
        if len(other):
            machine.recharge(other, account)


class _Split(Rule):
    """Bills split by who maps a page. A page that nobody maps is billed to its first toucher."""

    by_task = False

    def bill(self, machine: State) -> Bill:
        bill: Bill = defaultdict(Fraction)
        pfns = np.flatnonzero(machine.pages.owner).astype(np.int64)
        count = np.zeros((len(machine.accounts), len(pfns)), np.int16)
        for mapping, where, index in by_mapping(machine.pages, machine.mappings, pfns):
            for vma, mask, _ in users(mapping, pfns[where], index):
                row = count[vma.task.container.id]
                if self.by_task:
                    row[where[mask]] += 1
                else:
                    row[where[mask]] = 1
        total = count.sum(axis=0)
        alone = total == 0
        owner = machine.pages.owner[pfns]
        for account in machine.accounts[1:]:
            if account is None:
                continue
            # How often this account maps a page, and all together, as one number: sorting pairs is ten times slower.
            pairs, how_many = np.unique(
                count[account.id][~alone].astype(np.int64) << 32 | total[~alone], return_counts=True
            )
            share = sum(
                (
                    Fraction(int(pair) >> 32, int(pair) & 0xFFFFFFFF) * int(n)
                    for pair, n in zip(pairs, how_many, strict=True)
                ),
                Fraction(0),
            )
            share += int((owner[alone] == account.id).sum())
            if share or account.alive:
                bill[account.name] += share
        return dict(bill)


class EqualSplit(_Split):
    """Each container that maps a page pays the same part of it."""

    name = "equal split"


class Proportional(_Split):
    """Proportional set size: each *mapping* of a page pays the same part, so a container with three tasks pays thrice."""

    name = "proportional"
    by_task = True


class PerSet(Rule):
    """The set pays for what its members touched first; containers outside of any set pay for themselves."""

    name = "per set"

    def bill(self, machine: State) -> Bill:
        bill: Bill = defaultdict(Fraction)
        for account in machine.accounts[1:]:
            if account is not None and (account.charged or account.alive):
                bill[account.set.name if account.set else account.name] += account.charged
        return dict(bill)
