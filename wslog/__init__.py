"""wslog: why do WebSocket connections fail? From log dumps to outages, causes and weekly charts.

The public names are loaded on first use, so that importing wslog is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wslog.version import __version__

if TYPE_CHECKING:
    from wslog.api import Lake, ingest, open_lake
    from wslog.errors import WslogError
    from wslog.policy.presets import policies

__all__ = ["Lake", "WslogError", "__version__", "ingest", "open_lake", "policies"]


def __getattr__(name: str) -> Any:
    if name in ("Lake", "ingest", "open_lake"):
        from wslog import api

        value = getattr(api, name)
        globals()[name] = value
        return value
    if name == "policies":
        from wslog.policy.presets import policies

        return policies
    if name == "WslogError":
        from wslog.errors import WslogError

        return WslogError
    raise AttributeError(f"module 'wslog' has no attribute {name!r}")
