"""The names of the sockets below runtime_dir: all that commands need to know of the daemon's side."""

from __future__ import annotations

STATUS_NAME = "status.sock"
CONTROL_NAME = "control.sock"
