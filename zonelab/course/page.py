"""What pages show beside labs: source code from the source itself, and the run that the lab on the page shows."""

from __future__ import annotations

import html
import inspect
from typing import Any

from zonelab.errors import BadRequest
from zonelab.story import History, Scenario
from zonelab.view.lab import Lab


class Source:
    """Some lines of zonelab, as they stand in the file now."""

    def __init__(self, thing: Any) -> None:
        try:
            lines, self.line = inspect.getsourcelines(thing)
            self.file = inspect.getsourcefile(thing) or ""
        except (TypeError, OSError):
            raise BadRequest(f"{thing!r} has no source; give a function, a method or a class of zonelab") from None
        self.text = inspect.cleandoc("\n" + "".join(lines)) if lines[0][:1].isspace() else "".join(lines)
        self.where = "zonelab" + self.file.replace("\\", "/").rpartition("/zonelab")[2] + f", line {self.line}"

    def __repr__(self) -> str:
        return f"# {self.where}\n{self.text}"

    def _repr_html_(self) -> str:
        try:
            from pygments import highlight
            from pygments.formatters import HtmlFormatter
            from pygments.lexers import PythonLexer

            code = highlight(self.text, PythonLexer(), HtmlFormatter(nowrap=True))
        except ImportError:  # it comes with Jupyter, but is nothing we rely on
            code = html.escape(self.text)
        # The classes are those of JupyterLab's own code, which has the colours of both themes for them.
        return f'<p><small>{self.where}</small></p><div class="highlight"><pre>{code}</pre></div>'


def source(thing: Any) -> Source:
    """The lines of zonelab that do something: ``source(FreeArea.alloc)``. Shown from the file, so never out of date.

    Raises:
        BadRequest: it has none.
    """
    return Source(thing)


class Observed:
    """Predictions beside outcomes, for the run that the lab shows."""

    def __init__(self, story: Scenario) -> None:
        lab = Lab.on_page.get(story.__name__)
        self.history = lab.history if lab is not None else story.play()
        self.values = dict(lab.values) if lab is not None else story.values({})
        kept = lab.kept if lab is not None else None
        if kept is None:
            from zonelab.story.answers import here

            kept = here()
        self.rows: list[tuple[int, str, str, str, bool | None]] = []
        for number, frame in enumerate(self.history.frames, 1):
            ask = frame.ask
            if ask is None:
                continue
            answer = kept.get(ask.key)
            if answer is None:  # the outcome is not given away
                self.rows.append((number, ask.question, "not yet", "the lab asks you before this step", None))
                continue
            given = "shown" if answer["given"] == "?" else str(answer["given"])
            right = ask.judge(answer["given"]).right if _fits(ask, answer["given"]) else None
            self.rows.append((number, ask.question, given, str(ask.answer), right))

    def __repr__(self) -> str:
        lines = [f"This run: {', '.join(f'{name} = {value}' for name, value in self.values.items())}"]
        for number, question, given, answer, right in self.rows:
            lines.append(f"Step {number}: {question}\n   you: {given}\n   it was: {answer} {_tick(right)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        run = ", ".join(
            f"{html.escape(name.replace('_', ' '))} = {html.escape(str(v))}" for name, v in self.values.items()
        )
        head = "".join(
            f'<th scope="col" style="text-align: left">{name}</th>'
            for name in ("step", "question", "you said", "it was", "")
        )
        rows = "".join(
            f'<tr><td>{number}</td><td style="text-align: left">{html.escape(question)}</td><td style="text-align: left">'
            f'{html.escape(given)}</td><td style="text-align: left">{html.escape(answer)}</td><td>{_tick(right)}</td></tr>'
            for number, question, given, answer, right in self.rows
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"<p>This run: {run}</p>{table}"


def _fits(ask: Any, given: Any) -> bool:
    try:
        ask.judge(given)
    except BadRequest:  # with the sliders as they stand now it is another question
        return False
    return True


def _tick(right: bool | None) -> str:
    return "" if right is None else "✓" if right else "✗"


def observed(story: Scenario) -> Observed:
    """Your predictions beside what the machine did, in the run that the lab above shows; the story's own run without a lab."""
    return Observed(story)


def this_run(story: Scenario) -> History:
    """The story as the lab on this page tells it now, with its sliders; with its own values if there is no lab yet."""
    return Observed(story).history
