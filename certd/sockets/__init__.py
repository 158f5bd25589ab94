"""The two Unix sockets: status.sock for whoever may look, control.sock for the operator (HTTP/1.1 on both)."""

from __future__ import annotations

from certd.sockets.routes import CONTROL_NAME, STATUS_NAME, ControlSocket, Operator, StatusSocket

__all__ = ["CONTROL_NAME", "STATUS_NAME", "ControlSocket", "Operator", "StatusSocket"]
