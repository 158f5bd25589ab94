"""`certd demo`: a CA, a web server and certd itself on this machine, a first issue and a renewal, watched and proven.

Everything lives below one temporary directory and on high ports of the loopback; no root is needed. certd runs as it
runs in production: its commands as processes, its state in its status socket and its log. What it says is not taken
on trust: handshakes of our own, the CA's books and the web server's log are held against it.
"""

from __future__ import annotations

from certd.lab.demo.play import run

__all__ = ["run"]
