"""Names become paths only after they were checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.errors import StateError
from certd.store.layout import Layout, is_name, version_name, version_number

BAD = ["", ".", "..", ".x", "-x", "a/b", "../a", "A", "a\n", "a\0", "ä", "*.example.jp", "a" * 101, "a b", "a\\b"]


@pytest.mark.parametrize("name", BAD)
def test_bad_names_become_no_path(name: str) -> None:
    """Whatever could leave its directory, hide, or be taken for an option is refused by every path."""
    layout = Layout(Path("/state"))
    assert not is_name(name)
    for path in (layout.certificate_record, layout.account_key, layout.server_record, layout.live, layout.versions):
        with pytest.raises(StateError, match="cannot become the name of a file"):
            path(name)
    with pytest.raises(StateError):
        layout.pending_key("good", name)
    with pytest.raises(StateError):
        layout.live_target(name, 1)


@pytest.mark.parametrize("name", ["a", "example.jp", "_wildcard.example.jp", "xn--wgv71a.jp", "a" * 100, "0-1_2"])
def test_good_names_stay_below_their_directory(name: str) -> None:
    """A good name is one component of a path."""
    assert Layout(Path("/state")).certificate(name) == Path("/state/certs") / name


@given(st.text(max_size=120))
def test_no_name_leaves_its_directory(name: str) -> None:
    """For any text: refused, or a direct child."""
    layout = Layout(Path("/state"))
    try:
        path = layout.certificate(name)
    except StateError:
        return
    assert path.parent == layout.certificates
    assert path.name == name


@given(st.integers(min_value=1, max_value=999_999_999))
def test_version_numbers_have_one_form(number: int) -> None:
    """A directory's name and its number belong to each other one to one."""
    assert version_number(version_name(number)) == number


@pytest.mark.parametrize(
    "text", ["", "0000", "1", "001", "00001", "01234", "-001", "abcd", "0001 ", "٠٠٠١", "0001.bak"]
)
def test_other_directories_are_no_versions(text: str) -> None:
    """What certd does not name so is none of its versions."""
    assert version_number(text) is None


@pytest.mark.parametrize("root", ['/a"b', "/a\\b", "/a$b", "/a\nb", "/a%b"])
def test_paths_that_apache_would_misread_are_refused(root: str) -> None:
    """The state directory's path goes into apache.conf."""
    with pytest.raises(StateError, match="choose another one"):
        Layout(Path(root))


def test_a_relative_state_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in apache.conf must not depend on where Apache was started."""
    monkeypatch.chdir(tmp_path)
    assert Layout(Path("state")).root == tmp_path / "state"
