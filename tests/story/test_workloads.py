"""The seven days: the same under every policy and every seed, and playable in a lab."""

from __future__ import annotations

import pytest

from zonelab.errors import BadRequest
from zonelab.machine import Corrected, FakeNuma, PageOwnership, Policy
from zonelab.story.workloads import WORKLOADS, Day, workload_story


class Watched(PageOwnership):
    """Notes what it is asked, in words that do not depend on what it answers."""

    def __init__(self):
        super().__init__()
        self.asked: list[str] = []

    def equip(self, machine, container, pages, at, contiguous):
        self.asked.append(f"{container.name} wants {pages} on {container.node}")
        super().equip(machine, container, pages, at, contiguous)


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("policy", [PageOwnership, Corrected, FakeNuma])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_day_is_seen_through_and_can_be_had_again(name, policy, seed):
    digests = []
    for _ in range(2):
        day = Day(policy(), seed)
        for _said in WORKLOADS[name](day):
            day.look()
        day.machine.check()
        digests.append((day.machine.digest(), day.denied, day.broken, day.refused, tuple(day.stranded)))
    assert digests[0] == digests[1]
    assert len(day.stranded) >= 3


@pytest.mark.parametrize("name", ["churn", "migration storm", "shared library"])
def test_another_seed_is_another_day(name):
    ends = set()
    for seed in range(4):
        day = Day(PageOwnership(), seed)
        for _ in WORKLOADS[name](day):
            pass
        ends.add(day.machine.digest())
    assert len(ends) > 1


@pytest.mark.parametrize("name", WORKLOADS)
def test_chance_does_not_depend_on_the_policy(name):
    seen = []
    for policy in (Corrected, FakeNuma, PageOwnership):
        day = Day(policy(), 3)
        said = list(WORKLOADS[name](day))
        seen.append((said, day.dice.random()))
    assert seen[0] == seen[1] == seen[2]


def test_a_promise_within_the_share_is_told_from_a_wish_beyond_it():
    day = Day(PageOwnership(), 1)
    one = day.container("one", 8)
    day.heap(day.task(one), 12)
    assert (day.broken, day.denied) == (0, 4 * 256)

    class Nothing(Policy):
        def zonelist(self, machine, task, kind, vma, file):
            return (machine.nodes[1].main,)

    day = Day(Nothing(), 1)
    big = day.container("big", 120)
    day.heap(day.task(big), 120)
    assert day.broken >= 24 * 256 and not day.denied


def test_a_day_can_be_played_as_a_story():
    history = workload_story("churn", Corrected).play(seed=3)
    assert (
        len(history) >= 4
        and "stranded" not in history.frames[-1].text
        and "free in somebody's zone" in history.frames[-1].text
    )
    with pytest.raises(BadRequest, match="no workload 'nap'"):
        workload_story("nap")


def test_the_watched_policy_is_asked_the_same_on_every_run():
    first, second = Watched(), Watched()
    for policy in (first, second):
        day = Day(policy, 5)
        for _ in WORKLOADS["churn"](day):
            pass
    assert first.asked == second.asked and len(first.asked) == 24
