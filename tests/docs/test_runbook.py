"""The runbook has an entry for every alarm, in both languages, and each entry is whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from documents import ROOT, headings, section

from certd.acme.explanations_en import TEXTS
from certd.alarms import faults
from certd.model.codes import Because, Code
from certd.plan import alarms as plan_alarms
from certd.reasons.alarms import ALARMS
from certd.reasons.failures import FAILURES

ENGLISH, JAPANESE = "docs/RUNBOOK.md", "docs/ja/RUNBOOK.md"
FIELDS = {
    ENGLISH: ("Means", "certd does", "Look", "Do", "Escalate"),
    JAPANESE: ("意味", "certdの動作", "確認", "対処", "エスカレーション"),
}
FORCED = {Code.OCSP_UNKNOWN, Code.OCSP_UNREACHABLE, Code.OCSP_INVALID}
"""What a gate leaves behind that its deadline has opened: health repeats the word of the record."""
SAID_BY_HEALTH = ("certd/status/health.py", "certd/status/servers.py")


def alarms() -> set[str]:
    """Every code that can be a problem of health.

    Failures have any code of the two tables of failures; health's own words are constants in its source.
    """
    return {*TEXTS, *FAILURES, *ALARMS, *FORCED, *_said(), faults.BUG, plan_alarms.NOTIFY_FAILED}


def _said() -> Iterator[str]:
    """The codes that the sources of health name: members of Code and Because, and words of the tables."""
    for name in SAID_BY_HEALTH:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if kind := {"Code": Code, "Because": Because}.get(node.value.id):
                    yield str(kind[node.attr])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_problem":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value


def entries(name: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each heading of an entry, and the codes in it."""
    found = [(h.text, tuple(re.findall(r"`([^`]+)`", h.text))) for h in headings(name) if h.level == 3]
    return [(text, codes) for text, codes in found if codes]


def test_health_s_codes_are_found() -> None:
    """What the test looks for is there: one of each origin."""
    assert {"ca-held", "no-live-certificate", "server-down", "expiring", "acme:caa", "parked", "bug:error"} <= alarms()
    assert "not-due" not in alarms()


@pytest.mark.parametrize("name", FIELDS)
def test_every_alarm_has_one_entry(name: str) -> None:
    """None is missing, none is there twice, none is made up."""
    listed = [code for _, codes in entries(name) for code in codes]
    assert set(listed) ^ alarms() == set()
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("name", FIELDS)
def test_every_entry_is_whole(name: str) -> None:
    """It says what it means, what certd does, what to look at, what to do, and when to ask somebody else."""
    for heading in [h.text for h in headings(name) if h.level == 3]:
        found = re.findall(r"^- \*\*(.+?)[::]\*\*", section(name, heading), re.MULTILINE)
        assert tuple(found) == FIELDS[name], heading


def test_both_languages_have_the_same_entries() -> None:
    """In the same order, so that a line of one is found in the other."""
    assert [codes for _, codes in entries(ENGLISH)] == [codes for _, codes in entries(JAPANESE)]
