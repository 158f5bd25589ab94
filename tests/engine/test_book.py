"""The records in memory: read once, written on real transitions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from statedir import NAME, opened
from views import NOW, ordering, timer

from certd.engine.book import Book
from certd.errors import BrokenRecord, StateError
from certd.model.records import AccountLedger, Idle, KeyWritten, Ledger, NoKey, Settled
from certd.model.view import Subject, SubjectKind

CERTIFICATE = Subject(SubjectKind.CERTIFICATE, NAME)
SERVER = Subject(SubjectKind.SERVER, "web")
ACCOUNT = Subject(SubjectKind.ACCOUNT, "jprs")
WRITTEN = KeyWritten("https://ca/", AccountLedger())


class Disk:
    """A store that counts, and refuses to write while it is `full`."""

    def __init__(self) -> None:
        self.records: dict[Subject, Any] = {}
        self.calls: list[str] = []
        self.full = False

    def _load(self, subject: Subject) -> Any:
        self.calls.append(f"load {subject}")
        return self.records.get(subject)

    def _save(self, subject: Subject, record: Any) -> None:
        self.calls.append(f"save {subject}")
        if self.full:
            raise StateError("the disk is full")
        self.records[subject] = record

    def load_certificate(self, name: str) -> Any:
        return self._load(Subject(SubjectKind.CERTIFICATE, name))

    def load_server(self, name: str) -> Any:
        return self._load(Subject(SubjectKind.SERVER, name))

    def load_account(self, name: str) -> Any:
        return self._load(Subject(SubjectKind.ACCOUNT, name))

    def save_certificate(self, name: str, record: Any) -> None:
        self._save(Subject(SubjectKind.CERTIFICATE, name), record)

    def save_server(self, name: str, record: Any) -> None:
        self._save(Subject(SubjectKind.SERVER, name), record)

    def save_account(self, name: str, record: Any) -> None:
        self._save(Subject(SubjectKind.ACCOUNT, name), record)

    def saves(self) -> list[str]:
        return [call for call in self.calls if call.startswith("save")]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def book(disk: Disk) -> Book:
    return over(disk)


def over(disk: Any) -> Book:
    """Whose refusals wake nobody."""
    return Book(disk, lambda _: None)


LIVES = [
    (CERTIFICATE, Book.certificate, Book.put_certificate, Idle(), Idle(Ledger(attempts=1))),
    (SERVER, Book.server, Book.put_server, Settled(), Settled(wanted=1)),
    (ACCOUNT, Book.account, Book.put_account, NoKey(), WRITTEN),
]


@pytest.mark.parametrize(("subject", "read", "put", "first", "changed"), LIVES)
def test_read_once(book, disk, subject, read, put, first, changed):
    """A subject without a record begins its life; what is known is not read again."""
    assert read(book, subject.name) == first
    assert read(book, subject.name) == first
    assert disk.calls == [f"load {subject}"]


@pytest.mark.parametrize(("subject", "read", "put", "first", "changed"), LIVES)
def test_written_when_it_changes(book, disk, subject, read, put, first, changed):
    """A change is on disk when the call returns; the same record again is not written."""
    read(book, subject.name)
    put(book, subject.name, changed)
    put(book, subject.name, changed)
    assert disk.records == {subject: changed}
    assert len(disk.saves()) == 1
    assert read(over(disk), subject.name) == changed


def test_a_poll_writes_nothing(book, disk):
    """It is known all the same."""
    book.put_certificate(NAME, ordering())
    polled = ordering(poll=timer(timedelta(seconds=50)), polls_failed=1)
    book.put_certificate(NAME, polled)
    assert book.certificate(NAME) == polled
    assert len(disk.saves()) == 1


@pytest.mark.parametrize(("subject", "read", "put", "first", "changed"), LIVES)
def test_a_disk_that_refuses(book, disk, subject, read, put, first, changed):
    """What happened stays known, is told, and is written by the first flush that can."""
    disk.full = True
    with pytest.raises(StateError, match="full"):
        put(book, subject.name, changed)
    assert read(book, subject.name) == changed
    assert book.troubles == {subject: "the disk is full"}
    with pytest.raises(StateError):
        book.flush(subject)
    disk.full = False
    book.flush(subject)
    assert disk.records == {subject: changed}
    assert book.troubles == {}
    saves = len(disk.saves())
    book.flush(subject)
    assert len(disk.saves()) == saves


def test_a_refused_write_is_to_be_repeated(disk):
    """Whoever came to know it: the subject's tick is asked for, so that what an operator said is not left lying."""
    refused: list[Subject] = []
    book = Book(disk, refused.append)
    book.put_certificate(NAME, Idle())
    assert refused == []
    disk.full = True
    with pytest.raises(StateError):
        book.put_certificate(NAME, Idle(Ledger(attempts=1)))
    assert refused == [CERTIFICATE]


def test_a_poll_after_a_refused_write_is_written(book, disk):
    """Until what is owed to the disk is there, everything is."""
    disk.full = True
    with pytest.raises(StateError):
        book.put_certificate(NAME, ordering())
    disk.full = False
    polled = replace(ordering(), polls_failed=1)
    book.put_certificate(NAME, polled)
    assert disk.records == {CERTIFICATE: polled}


def test_a_passing_trouble_is_over_when_a_tick_went_well(book, disk):
    """A read that failed once is told no longer; what is still to be written stays told."""
    book.troubles[CERTIFICATE] = "it could not be read"
    book.well(CERTIFICATE)
    assert book.troubles == {}
    disk.full = True
    with pytest.raises(StateError):
        book.put_certificate(NAME, ordering())
    book.well(CERTIFICATE)
    assert book.troubles == {CERTIFICATE: "the disk is full"}


def test_dropped(book, disk):
    """A certificate that was forgotten begins anew, without its troubles."""
    disk.full = True
    with pytest.raises(StateError):
        book.put_certificate(NAME, ordering())
    book.drop_certificate(NAME)
    assert book.certificate(NAME) == Idle()
    assert book.troubles == {}
    book.flush(CERTIFICATE)
    assert len(disk.saves()) == 1


def test_one_lock_per_subject(book):
    """The same for the same subject, and it may be taken twice by whoever has it."""
    assert book.lock(CERTIFICATE) is book.lock(Subject(SubjectKind.CERTIFICATE, NAME))
    assert book.lock(CERTIFICATE) is not book.lock(SERVER)
    with book.lock(CERTIFICATE), book.lock(CERTIFICATE):
        pass


def test_a_broken_record_is_not_replaced(tmp_path):
    """Reading it fails, and nothing is known instead of it."""
    with opened(tmp_path) as store:
        store.save_certificate(NAME, Idle(Ledger(orders=(NOW,))))
        path = store.layout.certificate_record(NAME)
        path.write_text("{")
        book = over(store)
        for _ in range(2):
            with pytest.raises(BrokenRecord):
                book.certificate(NAME)
        assert path.read_text() == "{"


def test_what_was_written_late_is_told():
    """Whoever waits for it has not heard of it: flush says so, once."""
    disk = Disk()
    book = over(disk)
    disk.full = True
    with pytest.raises(StateError):
        book.put_server("web", Settled(wanted=1))
    with pytest.raises(StateError):
        book.flush(SERVER)
    disk.full = False
    assert book.flush(SERVER)
    assert not book.flush(SERVER)
