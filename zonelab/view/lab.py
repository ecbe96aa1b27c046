"""The lab: a story with its sliders, its memory map and its steps, as a Jupyter widget.

This side plays the story and answers questions about single blocks and pages; the picture and the steps are in the
browser (``map.js``, ``lab.js``), which has all frames of the story and needs no kernel to go back and forth in it.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import html
import io
import json
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import anywidget
import traitlets

from zonelab.errors import BadRequest, ZonelabError
from zonelab.story import Answers, Control, History, Scenario
from zonelab.story.answers import here
from zonelab.view.inspect import block_view, page_view
from zonelab.view.palette import PALETTE
from zonelab.view.storyboard import storyboard

HERE = Path(__file__).parent
STILL = 6
"""Steps in the still storyboard that a lab leaves in its output."""
INSTRUMENTS = ("why", "free", "zones", "charges", "interference")


class Lab(anywidget.AnyWidget):
    """A story to play with: ``Lab(tour)`` in the last line of a cell.

    Each parameter of the story is a trait of the same name, and so is ``step``, counted from 1 as it is shown; ``observe``,
    ``link`` and ``interactive`` work with them. Setting one plays the story again and stays at the same step.

    Args:
        scenario: the story.
        show: instruments beside the map, of "why", "free", "zones", "charges", "interference".
        step: where to start.
        block: the block (4 MiB) that is open at the start, with its 1,024 pages; -1 for the whole machine.
        predict: whether the story's questions are asked; a teacher may want to show it without.
        answers: where answers are kept; beside the notebook by default.
        values: the story's parameters, where they should differ from their defaults.

    Attributes:
        history: the story as it is told now; story, frames: what ``History.payload`` makes of it.

    Raises:
        BadRequest: an unknown parameter or instrument, or a value that it cannot have; nothing is changed.
    """

    _esm = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("map.js", "lab.js"))
    _css = HERE / "lab.css"

    on_page: ClassVar[WeakValueDictionary[str, Lab]] = WeakValueDictionary()
    """The newest lab of each story, by the story's name: whoever wants the numbers of *this* run finds it here."""

    tape = traitlets.Bytes(b"").tag(sync=True)  # the whole story as one buffer: nothing on the way takes it to pieces
    controls: Any = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True, echo_update=False)  # the browser knows what it has sent
    step = traitlets.Int(1).tag(sync=True, echo_update=False)
    show: Any = traitlets.List().tag(sync=True)
    palette = traitlets.Dict(PALETTE).tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)
    predict = traitlets.Bool(True).tag(sync=True)
    block = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        scenario: Scenario,
        show: tuple[str, ...] = INSTRUMENTS[:4],
        step: int = 1,
        block: int = -1,
        predict: bool = True,
        answers: Answers | None = None,
        **values: Any,
    ) -> None:
        unknown = [name for name in show if name not in INSTRUMENTS]
        if unknown:
            raise BadRequest(f"no instrument {', '.join(unknown)}; there are {', '.join(INSTRUMENTS)}")
        self.scenario = scenario
        self.kept = here() if answers is None else answers
        self.history: History = scenario.play(**values)
        self._playing = False
        blocks = len(self.history.machine.block_zone) if self.history.machine is not None else 0
        if not isinstance(block, int) or not -1 <= block < blocks:
            raise BadRequest(f"block {block!r}: this machine has blocks 0 to {blocks - 1}; -1 shows all of it")
        start = scenario.values(values)
        self.story, self.frames = self.history.payload()
        super().__init__(
            tape=_tape(self.story, self.frames),
            controls=[_control(name, control) for name, control in scenario.controls.items()],
            values=start,
            step=step,
            show=list(show),
            predict=predict,
            block=block,
            answers=self._mine(),
            code=self.kept.code(),
        )
        self.add_traits(**{name: traitlets.Any(start[name]) for name in scenario.controls})
        self.observe(self._parameter_set, list(scenario.controls))
        self.observe(self._values_set, "values")
        self.on_msg(self._asked)
        Lab.on_page[scenario.__name__] = self

    @traitlets.validate("step")
    def _step_in_story(self, proposal: Any) -> int:
        return max(1, min(int(proposal["value"]), len(self.history)))

    @traitlets.validate("values")
    def _values_of_story(self, proposal: Any) -> dict[str, Any]:
        return self.scenario.values(proposal["value"])

    def _parameter_set(self, change: Any) -> None:
        """A parameter was set from Python."""
        if not self._playing:
            try:
                self.values = {**self.values, change["name"]: change["new"]}
            except BadRequest:
                self._playing = True  # put the old value back without playing again
                setattr(self, change["name"], self.values[change["name"]])
                self._playing = False
                raise

    def _values_set(self, change: Any) -> None:
        """New values, from Python or from the browser: play, and send all frames in one message."""
        self._playing = True
        _no_collection_for(1.0)
        try:
            for name, value in change["new"].items():
                setattr(self, name, value)
            self.history = self.scenario.play(**change["new"])
            self.story, self.frames = self.history.payload()
            with self.hold_sync():
                self.tape, self.answers = _tape(self.story, self.frames), self._mine()
                self.step = self.step
        finally:
            self._playing = False

    def _mine(self) -> dict[str, Any]:
        """The answers kept to questions of this story."""
        asks = [frame.ask for frame in self.history.frames if frame.ask is not None]
        return {ask.key: answer for ask in asks if (answer := self.kept.get(ask.key)) is not None}

    def _asked(self, _: Any, content: dict[str, Any], __: Any) -> None:
        """The browser wants to see the pages of a block, or all about a page; or somebody has answered a question."""
        buffers: list[bytes] = []
        try:
            if content["kind"] == "answer":
                answer = self.answer(str(content["key"]), content["given"])
            elif content["kind"] == "restore":
                answer = {"restored": self.kept.restore(str(content["code"]))}
                self.answers, self.code = self._mine(), self.kept.code()
            else:
                with self.scenario.at(int(content["step"]) - 1, **self.values) as machine:
                    if content["kind"] == "block":
                        answer, buffers = block_view(machine, int(content["block"]))
                    else:
                        answer = page_view(machine, int(content["pfn"]))
        except (ZonelabError, KeyError, TypeError, ValueError) as problem:
            answer = {"problem": str(problem)}
        self.send({**content, **answer}, buffers)

    def answer(self, key: str, given: str | int) -> dict[str, Any]:
        """Answer a question of the story, as a click does: ``{"right": …, "said": …}``; kept for good.

        Raises:
            BadRequest: no such question, or this cannot be an answer to it.
        """
        asks = {frame.ask.key: frame.ask for frame in self.history.frames if frame.ask is not None}
        if key not in asks:
            raise BadRequest(f"this story has no question {key!r}; it has {', '.join(asks) or 'none'}")
        verdict = asks[key].judge(given)
        self.kept.record(key, given, verdict.right)
        self.answers, self.code = self._mine(), self.kept.code()
        return {"right": verdict.right, "said": verdict.said, "trouble": self.kept.problem}

    def text(self) -> str:
        """The story in words."""
        return self.history.text()

    def still(self) -> str:
        """The story as HTML without any script: a storyboard of its main steps, and all of it in words."""
        number = len(self.history)
        steps = sorted({round(at * (number - 1) / (STILL - 1)) for at in range(STILL)})
        out = io.BytesIO()
        storyboard(self.history, steps=steps).savefig(out, format="png", dpi=72)
        alt = html.escape(
            f"Storyboard of {self.history.title!r}, steps {', '.join(str(n + 1) for n in steps)}", quote=True
        )
        words = "".join(f"<li>{html.escape(frame.text)}</li>" for frame in self.history.frames)
        return (
            f'<figure><img alt="{alt}" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'
            f"<figcaption>{html.escape(self.history.title)}</figcaption></figure><ol>{words}</ol>"
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Beside the widget itself a still storyboard and its text twin, for places where widgets cannot run."""
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = f"{self.history.title}\n{self.text()}"
            data["text/html"] = self.still()
        return bundle


def _no_collection_for(seconds: float) -> None:
    """Keep the garbage collector waiting while a slider is dragged: a full collection takes longer than a whole story.

    Little is lost by it, for a machine that is no longer shown is freed without the collector. Outside of a kernel, where
    no event loop runs, nothing is done.
    """
    global _collect_later
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if _collect_later is not None:
        _collect_later.cancel()
    elif gc.isenabled():
        gc.disable()
    else:  # somebody else has switched it off, and will switch it on
        return
    _collect_later = loop.call_later(seconds, _collect_again)


def _collect_again() -> None:
    global _collect_later
    _collect_later = None
    gc.enable()


_collect_later: asyncio.TimerHandle | None = None


def _tape(story: dict[str, Any], frames: bytes) -> bytes:
    """Header and frames in one: the header's length (uint32), itself as JSON, padded to a multiple of 4; then the frames."""
    header = json.dumps(story, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 4)
    return len(header).to_bytes(4, "little") + header + frames


def _control(name: str, control: Control) -> dict[str, Any]:
    label = control.label or name.replace("_", " ")
    return {"name": name, "label": label, "value": control.value, **control.as_json()}
