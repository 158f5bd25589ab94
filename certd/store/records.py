"""The records of certificates, servers, accounts, alarms and of the daemon itself."""

from __future__ import annotations

import msgspec

from certd.model.alarms import AlarmRecord
from certd.model.records import AccountRecord, CertificateRecord, DaemonRecord, ServerRecord
from certd.store import recordfile
from certd.store.disk import PASSABLE, PRIVATE, Disk

_certificate: msgspec.json.Decoder[CertificateRecord] = msgspec.json.Decoder(CertificateRecord)
_server: msgspec.json.Decoder[ServerRecord] = msgspec.json.Decoder(ServerRecord)
_account: msgspec.json.Decoder[AccountRecord] = msgspec.json.Decoder(AccountRecord)
_daemon = msgspec.json.Decoder(DaemonRecord)
_alarms = msgspec.json.Decoder(AlarmRecord)


class Records(Disk):
    """Reading and replacing records.

    Every `load` answers None where there is no record, and raises UnknownSchema or BrokenRecord where it does not
    parse, StateError where it cannot be read. Every `save` is durable when it returns; it raises StateError, and the
    record is then the old one.
    """

    def load_certificate(self, name: str) -> CertificateRecord | None:
        return recordfile.read(self.layout.certificate_record(name), _certificate)

    def save_certificate(self, name: str, record: CertificateRecord) -> None:
        self._may_write()
        self._directory(self.layout.certificate(name), PASSABLE)
        recordfile.write(self.layout.certificate_record(name), record, _certificate)

    def load_server(self, server: str) -> ServerRecord | None:
        return recordfile.read(self.layout.server_record(server), _server)

    def save_server(self, server: str, record: ServerRecord) -> None:
        self._may_write()
        self._directory(self.layout.server(server), PRIVATE)
        recordfile.write(self.layout.server_record(server), record, _server)

    def load_account(self, ca: str) -> AccountRecord | None:
        return recordfile.read(self.layout.account_record(ca), _account)

    def save_account(self, ca: str, record: AccountRecord) -> None:
        self._may_write()
        self._directory(self.layout.account(ca), PRIVATE)
        recordfile.write(self.layout.account_record(ca), record, _account)

    def load_daemon(self) -> DaemonRecord | None:
        return recordfile.read(self.layout.daemon, _daemon)

    def save_daemon(self, record: DaemonRecord) -> None:
        self._may_write()
        recordfile.write(self.layout.daemon, record, _daemon)

    def load_alarms(self) -> AlarmRecord | None:
        return recordfile.read(self.layout.alarms, _alarms)

    def save_alarms(self, record: AlarmRecord) -> None:
        self._may_write()
        recordfile.write(self.layout.alarms, record, _alarms)
