"""Two hundred virtual hosts on one real Apache, all renewed at once, while somebody else reloads it every second."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from parts import Certd, LabSite, eventually
from system.reloading import Notes, SomebodyElse, deaths

HOSTS = 200
NAMES = [f"v{number:03}.test" for number in range(HOSTS)]


@pytest.mark.parametrize("plain_paths", [False, True], ids=["include", "plain-paths"])
def test_all_are_renewed_at_once_while_somebody_else_reloads(
    make_labsite: Callable[..., LabSite], plain_paths: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every site is up with its new certificate at the end, and certd moves no link while a load of its own runs.

    With the Include, Apache does not die even once. With plain paths it may, by the reload that is not certd's; then
    certd brings it back.
    """
    site = make_labsite(NAMES, plain_paths=plain_paths)
    notes = Notes(site.root, site.apache, site.live_dir)
    site.servers["web"]["reload"] |= {"command": notes.argv("graceful"), "start": notes.argv("start")}
    certd = site.daemon(limits={"workers": 8})
    site.put_live()
    site.apache.start()
    first = site.apache.pid
    certd.start()
    certd.wait_settled()
    issue_all(certd)
    with SomebodyElse(site.apache) as other:
        for name in NAMES:
            certd.renew(name, now=True)
        certd.wait_settled(timeout=120)
    with capsys.disabled():
        counts = f"{other.reloads} foreign reloads, {notes.moved_while_others_load()} links moved meanwhile"
        died = f"Apache died {deaths(site.apache)} times"
        print(f"\n{HOSTS} hosts, {'plain paths' if plain_paths else 'include'}: {counts}, {died}")
    assert site.served() == site.issued() == certd.live_serials()
    assert notes.moved_while_loading() == []
    assert len(site.ca.orders) == HOSTS, "a failed reload cost an order"
    assert other.reloads > 0
    if not plain_paths:
        assert deaths(site.apache) == 0
        assert site.apache.pid == first


def issue_all(certd: Certd) -> None:
    """Order for all; the new sets then wait for their gates, which the test opens all at once."""
    for name in NAMES:
        certd.renew(name)
    eventually(lambda: {one["phase"] for one in certd.status()["certificates"]} == {"staged"}, "all are issued", 120)
