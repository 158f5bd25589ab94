"""Alarms of the real daemon by the kind of failure, against the lab CA: what is told at once, what only when time runs
short, with which remedy, and never twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from parts import Certd, LabSite, eventually

from certd.acme.judgements import TABLE
from certd.acme.problems import prose

NAME = "one.test"
DAY = timedelta(days=1)
TELL = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.readline())"

Make = Callable[..., LabSite]


def start(site: LabSite, tmp_path: Path) -> Certd:
    """certd with a command that writes down what it is told, and Apache with what is live."""
    site.certd.configure(site.config() | {"notify": {"command": [sys.executable, "-c", TELL, str(tmp_path / "told")]}})
    site.apache.start()
    site.certd.start()
    return site.certd


def told(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return [notice for line in lines for notice in json.loads(line)["notices"]]


def fail(site: LabSite, certd: Certd, row: int) -> str:
    """The next order fails with this row of the JPRS list; its code, once it is recorded."""
    code = next(entry.code for entry in TABLE if entry.row == row)
    site.ca.faults.clear()
    site.ca.faults.inject(row, on="newOrder", times=None)
    certd.renew(NAME)
    eventually(lambda: (certd.certificate(NAME)["failure"] or {}).get("code") == code, f"row {row} is recorded")
    return code


def test_what_needs_a_person_is_told_at_once(make_labsite: Make, tmp_path: Path) -> None:
    """OPERATOR, BUG and ACCOUNT, while there is all the time in the world; once each, with kills in between."""
    site = make_labsite([NAME])
    site.daemon()
    site.put_live()
    certd = start(site, tmp_path)
    codes = []
    for row in (8, 12, 27):
        codes.append(fail(site, certd, row))
        eventually(lambda: codes[-1] in [one["code"] for one in told(tmp_path)], f"row {row} is told")
        words = prose(codes[-1])
        assert words is not None
        assert certd.certificate(NAME)["failure"]["remedy"] == words.remedy
        assert certd.health()["status"] == "warning"
        certd.kill()
        certd.start()
    assert certd.command("health", code=1).stdout.startswith("CERTD WARNING")
    words = prose(codes[-1], "ja")
    assert words is not None
    assert words.remedy[:20] in certd.command("--lang", "ja", "status", NAME).stdout
    certd.stop()
    # Killed after a delivery and before it is written down, certd delivers the same notice again.
    by_id = {one["id"]: one for one in told(tmp_path) if one["code"] in codes}
    notices = [one for one in by_id.values() if one.get("certificate")]
    assert [one["code"] for one in notices] == codes
    for notice in notices:
        words = prose(notice["code"])
        assert words is not None
        assert (notice["severity"], notice["certificate"], notice["remedy"]) == ("warning", NAME, words.remedy)


@pytest.mark.parametrize(("age", "problems"), [(0, []), (85, ["critical"])])
def test_what_passes_by_itself_is_told_when_time_runs_short(
    make_labsite: Make, tmp_path: Path, age: int, problems: list[str]
) -> None:
    """TRANSIENT: an internal error of the CA, with 90 and with 5 of 90 days left."""
    then = [datetime.now(UTC) - age * DAY]
    site = make_labsite([NAME], clock=lambda: then[0] if then else datetime.now(UTC))
    site.ca.options.lifetime = 90 * DAY
    site.daemon()
    site.put_live()
    then.clear()
    site.ca.faults.inject(26, on="newOrder", times=None)
    certd = start(site, tmp_path)
    code = fail(site, certd, 26)
    found = [one["severity"] for one in certd.health()["problems"] if one["code"] == code]
    assert found == problems
    if problems:
        eventually(lambda: code in [one["code"] for one in told(tmp_path)], "it is told")
    # Another failure, which is told at once, shows that there was a look since.
    other = fail(site, certd, 8)
    eventually(lambda: other in [one["code"] for one in told(tmp_path)], "the other one is told")
    certd.stop()
    assert [one["severity"] for one in told(tmp_path) if one["code"] == code] == problems
