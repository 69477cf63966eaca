"""The web page of `sigma-scale view`: the whole workflow over stored maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.gui.app.server import MapServer, make_server

__all__ = ["MapServer", "make_server"]

__getattr__, __dir__, _ = lazy_exports(__name__, {"MapServer": ".server", "make_server": ".server"})
