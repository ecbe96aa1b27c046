"""The server extension that sets TCP_NODELAY: jupyter_server still has what it wraps, and it really sets it."""

from __future__ import annotations

import asyncio
import inspect
import json
from concurrent.futures import ThreadPoolExecutor

import zonelab.nodelay as nodelay


class Handler:
    def __init__(self) -> None:
        self.calls: list[object] = []

    def set_nodelay(self, value: bool) -> None:
        self.calls.append(value)

    async def open(self, kernel_id: str) -> str:
        self.calls.append(kernel_id)
        return "opened"


def test_open_sets_nodelay_first_and_only_once_wrapped():
    class Mine(Handler):
        pass

    nodelay.wrap(Mine)
    nodelay.wrap(Mine)
    handler = Mine()
    with ThreadPoolExecutor(1) as elsewhere:  # a browser test may have left an event loop in this thread
        assert elsewhere.submit(lambda: asyncio.run(handler.open("k1"))).result() == "opened"
    assert handler.calls == [True, "k1"]


def test_jupyter_server_still_has_the_class_that_is_wrapped():
    from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

    assert callable(KernelWebsocketHandler.open)
    assert callable(KernelWebsocketHandler.set_nodelay)
    assert "kernel_id" in inspect.signature(KernelWebsocketHandler.open).parameters


def test_configuration_enables_it():
    [path] = (nodelay.CONFIG_DIR / "jupyter_server_config.d").glob("*.json")
    assert json.loads(path.read_text()) == {"ServerApp": {"jpserver_extensions": {"zonelab.nodelay": True}}}
    assert nodelay._jupyter_server_extension_points() == [{"module": "zonelab.nodelay"}]


def test_the_lab_command_uses_it(monkeypatch):
    from zonelab.__main__ import lab_environment

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/somewhere/else")
    paths = lab_environment()["JUPYTER_CONFIG_PATH"]
    assert paths.startswith(str(nodelay.CONFIG_DIR))
    assert paths.endswith("/somewhere/else")
