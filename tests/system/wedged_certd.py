"""certd, whose ticks hang while the file WEDGE exists, and who calls that stuck after half a second, not minutes."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from certd.__main__ import main
from certd.engine import Engine
from certd.model.view import Subject
from certd.scheduler import Scheduler


def wedge(path: Path) -> None:
    tick = Engine.tick

    def hanging(engine: Engine, subject: Subject) -> datetime:
        while path.exists():
            time.sleep(0.02)
        return min(tick(engine, subject), datetime.now().astimezone() + timedelta(seconds=0.2))

    Engine.tick = hanging  # type: ignore[method-assign]
    soon = timedelta(seconds=0.5)
    Scheduler.stuck.__kwdefaults__ = {"local": soon, "ca": soon}


if __name__ == "__main__":
    wedge(Path(os.environ.pop("WEDGE")))
    sys.exit(main())
