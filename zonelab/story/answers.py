"""What a reader has answered: kept in a small file beside the notebook, and in a code that can be copied.

The file outlives kernels and re-opened notebooks; the code is for places whose disk does not, as Binder's. Both hold the same:
for each question the last answer, whether it was right, how often it was tried, and whether the first try was right.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any, TypedDict

from zonelab.errors import BadFormat

NAME = "zonelab-answers.json"
FORMAT = 1
PREFIX = "ZL1-"
TRIES = 1000
"""More tries than this are not counted."""


class Answer(TypedDict):
    """One question: `given` last, `right` or not, number of `tries`, and whether the `first` one was right."""

    given: str | int
    right: bool
    tries: int
    first: bool


class Answers:
    """Answers by the key of their question.

    Args:
        path: the file; None keeps them in memory only.

    Attributes:
        problem: why they could not be read or written, in words; empty if all is well.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else None
        self.problem = ""
        self.kept: dict[str, Answer] = {}
        self._load()

    def __len__(self) -> int:
        return len(self.kept)

    def get(self, key: str) -> Answer | None:
        return self.kept.get(key)

    def record(self, key: str, given: str | int, right: bool) -> Answer:
        """Keep an answer, in memory and on disk. A right answer is not replaced by a later wrong one."""
        before = self.kept.get(key)
        tries = min(TRIES, before["tries"] + 1 if before else 1)
        first = before["first"] if before else right
        if before and before["right"] and not right:
            given, right = before["given"], True
        self.kept[key] = {"given": given, "right": right, "tries": tries, "first": first}
        self._save()
        return self.kept[key]

    def code(self) -> str:
        """All answers as one line of letters and digits."""
        packed = zlib.compress(json.dumps(self._as_json(), separators=(",", ":"), sort_keys=True).encode(), 9)
        check = zlib.crc32(packed).to_bytes(4, "big")
        return PREFIX + base64.b32encode(check + packed).decode().rstrip("=")

    def restore(self, code: str) -> int:
        """Add the answers of a code to those kept; returns how many it had.

        Raises:
            BadFormat: it is not such a code, or not all of it; nothing is changed.
        """
        found = read_code(code)
        for key, answer in found.items():
            mine = self.kept.get(key)
            if mine is None or (answer["right"], answer["tries"]) > (mine["right"], mine["tries"]):
                self.kept[key] = answer
        self._save()
        return len(found)

    def _as_json(self) -> dict[str, Any]:
        return {"zonelab": FORMAT, "answers": self.kept}

    def _load(self) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            self.kept = read_answers(self.path.read_bytes(), str(self.path))
        except OSError as error:
            self.problem = f"{self.path} cannot be read ({error.strerror}); answers are kept until the kernel stops"
        except BadFormat as error:  # whatever it is, it is not ours to throw away
            aside = self.path.with_suffix(".unreadable.json")
            self.problem = f"{error}; the file was put aside as {aside.name}, and a new one begins"
            try:
                os.replace(self.path, aside)
            except OSError:
                self.path = None

    def _save(self) -> None:
        """Write all or nothing: to a new file, which then takes the old one's place."""
        if self.path is None:
            return
        try:
            handle, name = tempfile.mkstemp(prefix=".zonelab-", dir=self.path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(self._as_json(), out, indent=1, sort_keys=True)
            os.replace(name, self.path)
        except OSError as error:
            self.problem = f"{self.path} cannot be written ({error.strerror}); copy the code to keep your answers"


def read_answers(data: bytes, source: str = "the file") -> dict[str, Answer]:
    """Answers from the content of a file.

    Raises:
        BadFormat: torn, or something else altogether.
    """
    expected = f'{{"zonelab": {FORMAT}, "answers": {{...}}}}'
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadFormat(
            f"{source} holds no answers of zonelab: {error}", getattr(error, "lineno", None), expected
        ) from None
    if not isinstance(read, dict) or read.get("zonelab") != FORMAT or not isinstance(read.get("answers"), dict):
        raise BadFormat(f"{source} holds no answers of zonelab", None, expected)
    out: dict[str, Answer] = {}
    for key, answer in read["answers"].items():
        good = (
            isinstance(answer, dict)
            and answer.keys() == Answer.__annotations__.keys()
            and isinstance(answer["given"], str | int)
            and isinstance(answer["right"], bool)
            and isinstance(answer["first"], bool)
            and isinstance(answer["tries"], int)
            and 1 <= answer["tries"] <= TRIES
        )
        if not good:
            raise BadFormat(f"{source}: the answer to {key!r} is {answer!r}", None, "given, right, tries and first")
        out[key] = Answer(given=answer["given"], right=answer["right"], tries=answer["tries"], first=answer["first"])
    return out


def read_code(code: str) -> dict[str, Answer]:
    """Answers from a code that ``Answers.code`` made; blanks and line breaks in it do not matter.

    Raises:
        BadFormat: it is not such a code, or a part of it is missing or changed.
    """
    text = "".join(code.split()).upper()
    expected = f"a code that begins with {PREFIX}, whole"
    if not text.startswith(PREFIX):
        raise BadFormat(f"{text[:12]!r} begins no code of answers", None, expected)
    text = text[len(PREFIX) :]
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
        check, packed = data[:4], data[4:]
        if zlib.crc32(packed).to_bytes(4, "big") != check:
            raise ValueError("its check sum is wrong")
        unpacked = zlib.decompressobj()
        plain = unpacked.decompress(packed, 1 << 22)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise BadFormat(f"this code is torn or mistyped: {error}", None, expected) from None
    return read_answers(plain, "the code")


_OPEN: dict[Path | None, Answers] = {}


def here() -> Answers:
    """The answers kept beside the notebook that runs: the same object for all labs and exercises of a page."""
    path = Path.cwd() / NAME
    kept = _OPEN.get(path)
    if kept is None or (kept.path is not None and not kept.path.exists() and len(kept)):
        _OPEN[path] = Answers(path)
    return _OPEN[path]
