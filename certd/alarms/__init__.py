"""Alarms: changes of health, told to the operator by commands and webhooks (`notify`), at least once."""

from __future__ import annotations

from certd.alarms.faults import Faults
from certd.alarms.keeper import Alarms
from certd.alarms.lane import AlarmLane
from certd.alarms.post import Post

__all__ = ["AlarmLane", "Alarms", "Faults", "Post"]
