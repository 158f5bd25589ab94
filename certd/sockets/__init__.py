"""The two Unix sockets: status.sock for whoever may look, control.sock for the operator (HTTP/1.1 on both)."""

from __future__ import annotations

from certd.sockets.names import CONTROL_NAME, STATUS_NAME
from certd.sockets.routes import ControlSocket, Operator, StatusSocket

__all__ = ["CONTROL_NAME", "STATUS_NAME", "ControlSocket", "Operator", "StatusSocket"]
