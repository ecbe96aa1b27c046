"""The arena: the same scores wherever they are worked out, measures that go the right way, and a sentence for every broken policy."""

from __future__ import annotations

from typing import Any

import pytest

from zonelab.course.arena import BUILT_IN, MEASURES, Guarded, Results, Score, arena, score
from zonelab.errors import BadRequest
from zonelab.machine import Corrected, FakeNuma, PageOwnership, Policy


class Nearest(Policy):
    """Ten lines of a student."""

    name = "nearest"

    def zonelist(self, machine, task, kind, vma, file):
        return machine.fallback(task.node)


class Raises(Nearest):
    name = "raises"

    def zonelist(self, machine, task, kind, vma, file):
        return machine.zone_named("mine")


class Empty(Nearest):
    name = "empty"

    def zonelist(self, machine, task, kind, vma, file):
        return ()


class Names(Nearest):
    name = "names"

    def zonelist(self, machine, task, kind, vma, file):
        return ["Normal"]


class Nothing(Nearest):
    name = "nothing"

    def zonelist(self, machine, task, kind, vma, file):
        pass


class Endless(Nearest):
    name = "endless"

    def zonelist(self, machine, task, kind, vma, file):
        while True:
            pass


class Unmakeable(Nearest):
    name = "unmakeable"

    def __init__(self, weight):
        super().__init__()


BROKEN = {
    Raises: "raises AttributeError", Empty: "was empty", Names: "has 'Normal' in it", Nothing: "gave None", Endless: "did not come to an end",
    Unmakeable: "cannot be made",
}  # fmt: skip


@pytest.mark.parametrize("policy", BROKEN)
def test_a_broken_policy_gets_a_sentence(policy):
    one = score(policy, "web + batch")
    assert not one.values and BROKEN[policy] in one.problem and one.problem.startswith(policy.name)
    assert "exercise.py" not in one.problem and "Traceback" not in one.problem
    if policy is Raises:
        assert 'machine.zone_named("mine")' in one.problem


def test_one_broken_policy_does_not_cost_the_others_their_results():
    results = arena([Empty, PageOwnership], workloads=["churn"], jobs=1, progress=False)
    assert results.mean("empty", "stranded") is None and results.mean("page ownership", "stranded") == 0
    assert "was empty" in repr(results) and "was empty" in results._repr_html_()
    assert [name for name, _ in results.ranking()] == ["page ownership"]


def test_the_same_scores_one_after_another_on_all_cores_and_again():
    few: Any = {
        "policies": [PageOwnership, Corrected, Nearest],
        "workloads": ["churn", "a recording"],
        "seeds": [1, 2],
        "progress": False,
    }
    once = arena(**few, jobs=1)
    assert arena(**few, jobs=1).scores == once.scores
    assert arena(**few, jobs=2).scores == once.scores


@pytest.mark.slow
def test_on_a_dask_cluster():
    from dask.distributed import Client, LocalCluster

    few: Any = {"policies": [PageOwnership, Corrected], "workloads": ["churn"], "seeds": [1, 2], "progress": False}
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        assert arena(**few, backend="dask").scores == arena(**few, jobs=1).scores


def test_a_policy_of_a_notebook_goes_to_other_processes():
    space: dict[str, object] = {"Policy": Policy, "__name__": "__main__"}
    exec(
        "class Mine(Policy):\n    name = 'mine'\n    def zonelist(self, m, task, *rest):\n        return m.fallback(task.node)",
        space,
    )
    mine: Any = space["Mine"]
    results = arena([mine, PageOwnership], workloads=["churn"], jobs=2, progress=False)
    assert results.policies == ["mine", "page ownership"] and not results.problems


def mean(results, *what):
    return results.mean(*what)


def test_measures_go_the_right_way():
    results = arena([PageOwnership, Corrected, FakeNuma, Nearest], jobs=1, progress=False)
    assert mean(results, "page ownership", "stranded") == 0
    assert mean(results, "fake NUMA", "stranded") > mean(results, "corrected", "stranded") > 10
    assert mean(results, "page ownership", "look-up") > mean(results, "corrected", "look-up")
    assert mean(results, "nearest", "isolation", "noisy neighbour") >= mean(
        results, "corrected", "isolation", "web + batch"
    )
    assert mean(results, "fake NUMA", "migration", "migration storm") > 0
    for policy in results.policies:
        for one in MEASURES:
            assert mean(results, policy, one.name) >= 0


def test_table_plot_and_ranking():
    results = arena(BUILT_IN[:3], workloads=["churn", "web + batch"], jobs=1, progress=False)
    assert repr(results).count("★") >= len(MEASURES)
    assert "Stranded" in results.plot().alt and "web" in results.plot("isolation").alt
    assert results.ranking({"stranded": 1})[0][0] == "page ownership"
    for wrong in (lambda: results.plot("beauty"), lambda: results.ranking({"beauty": 1})):
        with pytest.raises(BadRequest, match="no measure"):
            wrong()


def test_a_progress_bar_goes_to_the_page(capsys):
    arena([PageOwnership], workloads=["a recording"], jobs=1)
    out = capsys.readouterr()
    assert "days" in out.out and not out.err


def test_what_cannot_be_done():
    with pytest.raises(BadRequest, match="no workload nap"):
        arena([PageOwnership], workloads=["nap"])
    with pytest.raises(BadRequest, match="no workload 'nap'"):
        score(PageOwnership, "nap")
    with pytest.raises(BadRequest, match="at least one policy"):
        arena([])


def test_ties_and_gaps_in_the_table():
    results = Results(
        [Score("a", "day", 1, {one.name: 1.0 for one in MEASURES}), Score("b", "day", 1, {}, "b is broken.")]
    )
    assert repr(results).count("★") == len(MEASURES) and "–" in repr(results)
    assert Guarded(Nearest()).name == "nearest"


def test_a_limit_that_was_lowered_below_what_is_charged():
    class Tight(PageOwnership):
        name = "tight"

        def zonelist(self, machine, task, kind, vma, file):
            task.container.limit = max(1, task.container.charged - 100)
            return machine.fallback(task.node)

    results = arena([Tight], workloads=["churn", "web + batch"], jobs=1, progress=False)
    assert mean(results, "tight", "isolation") > 0 and not results.problems
