"""The arena: policies held against each other on the same days, in numbers.

::

    class Mine(Policy):
        name = "mine"
        def zonelist(self, machine, task, kind, vma, file):
            return machine.fallback(task.node)

    results = arena([Mine, *BUILT_IN])

Runs go through joblib: over the cores of this machine, or with ``backend="dask"`` over a cluster. A policy that is wrong, or never comes to
an end, gets a sentence that says what and where; the others' results are not lost.
"""

from __future__ import annotations

import html
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from zonelab.course.exercise import Endless, bounded
from zonelab.errors import BadRequest
from zonelab.machine import AsQuoted, ByMount, Corrected, FakeNuma, Literal, PageOwnership, Policy
from zonelab.machine.container import Container, Task
from zonelab.machine.memory import VMA
from zonelab.machine.memory import Mapping as File
from zonelab.machine.policy import Kind, Zonelist
from zonelab.machine.zone import Zone
from zonelab.story.workloads import WORKLOADS, Day
from zonelab.view.figures import Picture, beside

BUILT_IN: tuple[type[Policy], ...] = (PageOwnership, Corrected, Literal, AsQuoted, ByMount, FakeNuma)
LINES = 200_000
"""Lines that a student's policy may run for one decision."""


@dataclass(frozen=True)
class Measure:
    """One of the columns: a name, its unit, what it means; less is better in all of them."""

    name: str
    unit: str
    text: str


MEASURES = (
    Measure(
        "isolation",
        "pages",
        "pages lost to another container's reclaim, and pages of one's own share that could not be had",
    ),
    Measure("stranded", "MiB", "free memory that is set aside in somebody's zone, on average over the day"),
    Measure(
        "denied",
        "MiB",
        "memory beyond a container's share that it could not have, at a wall or at a limit, although so much was free",
    ),
    Measure("unfairness", "%", "part of the bill that would have to move to make it proportional to use, on average"),
    Measure("remote", "%", "accesses that went to another node"),
    Measure("migration", "ms", "time spent on copying pages, by the cost model, and 10 ms for each move that failed"),
    Measure(
        "look-up",
        "zones",
        "zones on the zonelists that were asked for, on average, and one more for each 100 zones on the machine",
    ),
)


@dataclass(frozen=True)
class Score:
    """One policy on one workload with one seed: a number for each measure, or the problem that ended it."""

    policy: str
    workload: str
    seed: int
    values: Mapping[str, float]
    problem: str = ""


class Guarded(Policy):
    """A policy with an eye on it: what it answers is checked, how long it takes is bounded, and what it costs is counted."""

    def __init__(self, inner: Policy) -> None:
        super().__init__()
        self.inner, self.name = inner, str(getattr(inner, "name", type(inner).__name__))
        self.reclaim_first = bool(getattr(inner, "reclaim_first", False))
        self.asked = self.zones = 0
        self.trusted = type(inner).__module__.startswith("zonelab.")

    def _ask(self, what: str, *arguments: Any) -> Any:
        method = getattr(self.inner, what)
        if self.trusted:
            return method(*arguments)
        try:
            return bounded(method, arguments, LINES)
        except Endless:
            raise PolicyProblem(f"its {what} did not come to an end: it was stopped after {LINES:,} lines") from None
        except RecursionError:
            raise PolicyProblem(f"its {what} calls itself without end") from None
        except BadRequest:
            raise  # the machine refused what it was asked for; the day counts that
        except Exception as problem:
            lines = [one for one in traceback.extract_tb(problem.__traceback__) if one.name == what]
            where = f", in the line: {lines[-1].line}" if lines and lines[-1].line else ""
            raise PolicyProblem(f"its {what} raises {type(problem).__name__}: {problem}{where}") from None

    def equip(self, machine: Any, container: Container, pages: int, at: int | None, contiguous: bool) -> None:
        self._ask("equip", machine, container, pages, at, contiguous)

    def new_home(self, machine: Any, container: Container, node: int, pages: int) -> list[Zone]:
        zones: list[Zone] = self._ask("new_home", machine, container, node, pages)
        return zones

    def blocks_for(self, container: Container, pages: int) -> int:
        blocks = self._ask("blocks_for", container, pages)
        return int(blocks)

    def zonelist(self, machine: Any, task: Task, kind: Kind, vma: VMA | None, file: File | None) -> Zonelist:
        answer = self._ask("zonelist", machine, task, kind, vma, file)
        wanted = "it must be a tuple of this machine's zones, at least one, as machine.fallback(task.node) is"
        if not isinstance(answer, tuple | list):
            raise PolicyProblem(f"its zonelist gave {answer!r} for {kind} of {task.container.name}; {wanted}")
        if not answer:
            raise PolicyProblem(f"its zonelist was empty for {kind} of {task.container.name}; {wanted}")
        for zone in answer:
            if not isinstance(zone, Zone) or all(zone is not one for one in machine.zones):
                raise PolicyProblem(f"its zonelist for {kind} of {task.container.name} has {zone!r} in it; {wanted}")
        self.asked += 1
        self.zones += len(answer)
        return tuple(answer)


class PolicyProblem(Exception):
    """What is wrong with a student's policy; not a refusal of the machine, so nothing on the way takes it for one."""


def score(policy: Callable[[], Policy], workload: str, seed: int = 1) -> Score:
    """One policy on one workload: a fresh machine, the day with that seed, the measures.

    Raises:
        BadRequest: no such workload.
    """
    if workload not in WORKLOADS:
        raise BadRequest(f"there is no workload {workload!r}; there are {', '.join(WORKLOADS)}")
    name = str(getattr(policy, "name", getattr(policy, "__name__", policy)))
    try:
        guarded = Guarded(_made(policy))
        name = guarded.name
        day = Day(guarded, seed)
        for _ in WORKLOADS[workload](day):
            day.look()
    except PolicyProblem as problem:
        return Score(name, workload, seed, {}, f"{name} on {workload!r}: {problem}.")
    machine = day.machine
    lost = sum(pages for (victim, cause), pages in machine.interference.items() if victim != cause)
    local, remote = (sum(getattr(task, what) for task in day.tasks) for what in ("local", "remote"))
    return Score(
        name,
        workload,
        seed,
        {
            "isolation": lost + day.broken,
            "stranded": mean(day.stranded) * 4 / 1024,
            "denied": day.denied * 4 / 1024,
            "unfairness": 100 * mean(day.unfair or [0.0]),
            "remote": 100 * remote / max(1, local + remote),
            "migration": machine.spent_ns / 1e6 + 10 * day.failed_moves,
            "look-up": guarded.zones / max(1, guarded.asked) + len(machine.zones) / 100,
        },
    )


def _made(policy: Callable[[], Policy]) -> Policy:
    try:
        made = policy() if isinstance(policy, type) or not isinstance(policy, Policy) else policy
    except Exception as problem:
        raise PolicyProblem(f"it cannot be made: {type(problem).__name__}: {problem}") from None
    if not isinstance(made, Policy):
        raise PolicyProblem(f"it is {made!r}; it must be a subclass of Policy: class Mine(Policy)")
    return made


class Results:
    """All scores; ``repr`` and HTML show the means, a row for each policy. Less is better everywhere; the best of a column is marked ★."""

    def __init__(self, scores: Sequence[Score]) -> None:
        self.scores = list(scores)
        self.policies = list(dict.fromkeys(one.policy for one in scores))
        self.problems = list(dict.fromkeys(one.problem for one in scores if one.problem))

    def mean(self, policy: str, measure: str, workload: str | None = None) -> float | None:
        """A policy's mean over workloads and seeds; None if it did not get through any."""
        values = [
            one.values[measure]
            for one in self.scores
            if one.policy == policy and one.values and workload in (None, one.workload)
        ]
        return mean(values) if values else None

    def table(self) -> dict[str, dict[str, float | None]]:
        """policy → measure → mean."""
        return {policy: {one.name: self.mean(policy, one.name) for one in MEASURES} for policy in self.policies}

    def best(self, measure: str) -> float | None:
        values = [value for policy in self.policies if (value := self.mean(policy, measure)) is not None]
        return min(values, default=None)

    def ranking(self, weights: Mapping[str, float] | None = None) -> list[tuple[str, float]]:
        """Policies by their weighted sum of measures, each divided by the worst of its column: 0 is best. Equal weights by default.

        Raises:
            BadRequest: a weight for something that is not measured.
        """
        weights = dict.fromkeys((one.name for one in MEASURES), 1.0) if weights is None else weights
        unknown = weights.keys() - {one.name for one in MEASURES}
        if unknown:
            raise BadRequest(
                f"no measure {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in MEASURES)}"
            )
        table = {policy: row for policy, row in self.table().items() if None not in row.values()}
        worst = {name: max((float(row[name] or 0) for row in table.values()), default=0) or 1 for name in weights}
        total = sum(weights.values()) or 1
        sums = {
            policy: sum(weight * float(row[name] or 0) / worst[name] for name, weight in weights.items()) / total
            for policy, row in table.items()
        }
        return sorted(sums.items(), key=lambda pair: pair[1])

    def plot(self, measure: str = "stranded") -> Picture:
        """One measure, policy by policy, for each workload.

        Raises:
            BadRequest: that is not measured.
        """
        about = next((one for one in MEASURES if one.name == measure), None)
        if about is None:
            raise BadRequest(f"no measure {measure!r}; there are {', '.join(one.name for one in MEASURES)}")
        workloads = list(dict.fromkeys(one.workload for one in self.scores))
        rows = {policy: [self.mean(policy, measure, one) or 0.0 for one in workloads] for policy in self.policies}
        short = [name.replace(" ", "\n", 1) for name in workloads]
        return beside(
            short,
            {name: [round(v, 1) for v in row] for name, row in rows.items()},
            f"{measure.capitalize()}, day by day",
            about.unit,
        )

    def _cells(self) -> Iterable[tuple[str, list[str]]]:
        for policy in self.policies:
            row = []
            for one in MEASURES:
                value, best = self.mean(policy, one.name), self.best(one.name)
                row.append(
                    "–"
                    if value is None
                    else f"{value:,.1f}" + (" ★" if best is not None and value <= best + 1e-9 else "")
                )
            yield policy, row

    def __repr__(self) -> str:
        lines = [f"{'':<16}" + "".join(f"{f'{one.name}, {one.unit}':>18}" for one in MEASURES)]
        lines += [f"{policy:<16}" + "".join(f"{cell:>18}" for cell in row) for policy, row in self._cells()]
        return "\n".join([*lines, *self.problems])

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col" title="{html.escape(one.text, quote=True)}">{one.name}<br><small>{one.unit}</small></th>'
            for one in MEASURES
        )
        rows = "".join(
            f'<tr><th scope="row" style="text-align: left">{html.escape(policy)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in row)
            + "</tr>"
            for policy, row in self._cells()
        )
        said = "".join(f"<p><b>!</b> {html.escape(problem)}</p>" for problem in self.problems)
        note = "<p><small>Means over all days; less is better everywhere, ★ is the best of its column.</small></p>"
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>{note}{said}"


def arena(
    policies: Sequence[Callable[[], Policy]] = BUILT_IN,
    workloads: Sequence[str] = tuple(WORKLOADS),
    seeds: Sequence[int] = (1,),
    backend: str | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> Results:
    """Hold policies against each other: every one on every workload with every seed.

    Args:
        policies: classes of policies, or functions that make one.
        seeds: another seed, another day.
        backend: of joblib; None for this machine's cores, "dask" for the cluster of the current ``dask.distributed.Client``.
        jobs: how many at a time; all cores by default, one in the browser.
        progress: whether a bar is shown.

    Raises:
        BadRequest: a workload that does not exist, or nothing to do.
    """
    from joblib import Parallel, delayed, parallel_config

    unknown = [name for name in workloads if name not in WORKLOADS]
    if unknown or not policies or not seeds:
        raise BadRequest(
            f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}"
            if unknown
            else "give at least one policy and one seed"
        )
    tasks = [(policy, workload, seed) for policy in policies for workload in workloads for seed in seeds]
    in_browser = sys.platform == "emscripten"
    jobs = 1 if in_browser else jobs
    options = {"backend": backend} if backend else {}
    with parallel_config(n_jobs=jobs or -1, **options):
        # Whatever is done, is shown in the order in which it was asked for: results do not depend on who was quick.
        runs = Parallel(return_as="generator", batch_size="auto")(delayed(score)(*task) for task in tasks)
        scores = list(_bar(runs, len(tasks)) if progress else runs)
    return Results(scores)


def _bar(runs: Iterable[Score], total: int) -> Iterable[Score]:
    from tqdm.auto import tqdm

    return tqdm(runs, total=total, desc="days", unit="day", file=sys.stdout, leave=False)  # type: ignore[no-any-return]
