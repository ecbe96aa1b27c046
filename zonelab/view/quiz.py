"""The quiz: a few questions, one below the other, each with a word on every answer. Kept like the lab's answers."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from zonelab.errors import BadRequest
from zonelab.story.answers import Answers, here
from zonelab.story.ask import Ask

HERE = Path(__file__).parent


class Quiz(anywidget.AnyWidget):
    """Questions to choose an answer to, or to type a number.

    Args:
        title: what the group of questions is called.
        asks: the questions: of kind *choice* or *number*, each with a key of its own.
        answers: where answers are kept; beside the notebook by default.

    Attributes:
        verdicts: key → ``{"given", "right", "said"}`` of every question that was answered, now or in an earlier session.
    """

    _esm = HERE / "quiz.js"
    _css = HERE / "quiz.css"

    title = traitlets.Unicode().tag(sync=True)
    asks: Any = traitlets.List().tag(sync=True)
    verdicts = traitlets.Dict().tag(sync=True)

    def __init__(self, title: str, asks: Sequence[Ask], answers: Answers | None = None) -> None:
        keys = [ask.key for ask in asks]
        if len(set(keys)) < len(keys) or not all(keys):
            raise BadRequest(f"each question of a quiz needs a key of its own; these have {', '.join(keys)}")
        self.questions = {ask.key: ask for ask in asks}
        self.kept = here() if answers is None else answers
        # The answers stay here: what the browser does not know, nobody reads there.
        shown = [{"key": ask.key, "kind": ask.kind, "question": ask.question, "options": ask.options} for ask in asks]
        super().__init__(title=title, asks=shown, verdicts=self._verdicts())
        self.on_msg(self._asked)

    def _verdicts(self) -> dict[str, Any]:
        out = {}
        for key, ask in self.questions.items():
            kept = self.kept.get(key)
            if kept is not None:
                try:
                    verdict = ask.judge(kept["given"])
                except BadRequest:  # the question was another one when it was answered
                    continue
                out[key] = {"given": kept["given"], "right": verdict.right, "said": verdict.said}
        return out

    def answer(self, key: str, given: str | int) -> bool:
        """Answer a question, as a click does; is it right?

        Raises:
            BadRequest: no such question, or this cannot be an answer to it.
        """
        if key not in self.questions:
            raise BadRequest(f"no question {key!r} here; there are {', '.join(self.questions)}")
        verdict = self.questions[key].judge(given)
        self.kept.record(key, given, verdict.right)
        self.verdicts = {**self.verdicts, key: {"given": given, "right": verdict.right, "said": verdict.said}}
        return verdict.right

    def _asked(self, _: Any, content: Any, __: Any) -> None:
        try:
            self.answer(str(content["key"]), content["given"])
        except (BadRequest, KeyError, TypeError) as problem:
            self.send({"problem": str(problem)})

    def text(self) -> str:
        """The questions and their options, without the answers."""
        lines = [self.title]
        for number, ask in enumerate(self.questions.values(), 1):
            lines.append(f"{number}. {ask.question}")
            lines += [f"   – {option}" for option in ask.options]
        return "\n".join(lines)

    def still(self) -> str:
        """The questions as HTML without any script, each with its answer folded away."""
        items = []
        for ask in self.questions.values():
            options = "".join(f"<li>{html.escape(option)}</li>" for option in ask.options)
            answer = f"<details><summary>Answer</summary>{html.escape(f'{ask.answer}. {ask.why}')}</details>"
            items.append(f"<li>{html.escape(ask.question)}<ul>{options}</ul>{answer}</li>")
        return f"<p><b>{html.escape(self.title)}</b></p><ol>{''.join(items)}</ol>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"], data["text/html"] = self.text(), self.still()
        return bundle
