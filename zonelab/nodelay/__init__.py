"""A Jupyter server extension of a few lines: send small messages at once.

When a slider moves, the browser and the kernel exchange messages of a few hundred bytes. By default TCP may hold such
a message back until the last one is acknowledged, and the other side delays its acknowledgement: about 25 ms are lost,
half of the time from key to picture. ``TCP_NODELAY`` turns that off. jupyter_server does not set it, so this extension
does, for the kernel's websocket only.

``python -m zonelab lab`` uses it, and so does Binder; nobody's own Jupyter is changed. To have it there as well, copy the file in
``jupyter_server_config.d`` into the folder of that name in one of the folders that ``jupyter --paths`` lists under *config*.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

CONFIG_DIR = Path(__file__).parent
"""A folder for ``JUPYTER_CONFIG_PATH``: enables this extension, and leaves all other configuration as it is."""


def wrap(handler: Any) -> None:
    """Make the ``open`` of a tornado websocket handler class set TCP_NODELAY first; a second call changes nothing."""
    plain = handler.open
    if getattr(plain, "sets_nodelay", False):
        return

    @functools.wraps(plain)
    def open_without_delay(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.set_nodelay(True)
        return plain(self, *args, **kwargs)

    open_without_delay.sets_nodelay = True  # type: ignore[attr-defined]
    handler.open = open_without_delay


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "zonelab.nodelay"}]


def _load_jupyter_server_extension(server_app: Any) -> None:
    try:
        from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
    except ImportError:  # the class has moved: labs still work, a little slower
        server_app.log.warning("zonelab.nodelay: no KernelWebsocketHandler in this jupyter_server, nothing changed")
    else:
        wrap(KernelWebsocketHandler)
