"""What runs beside a test, from entering a context to leaving it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Background(ABC):
    """Runs `_run` in a thread of its own while the context lasts; `_end` makes it return."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...
