"""The process that works without anybody watching, and the two commands that do a part of its work."""

from certd.daemon.commands import once, prepare, run

__all__ = ["once", "prepare", "run"]
