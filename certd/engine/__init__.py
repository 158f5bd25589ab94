"""The engine: gather facts, decide, record the intent, act, record what came of it. Nothing here waits."""

from certd.engine.engine import Engine

__all__ = ["Engine"]
