"""The lab CA as one object: an ACME CA with the ways of JPRS and its OCSP responder, both on the loopback.

For `certd demo`, rehearsals and tests. It is fenced: it listens on 127.0.0.1 and connects to the loopback alone, its
roots are made fresh for every instance and say in their names that they are untrusted.
"""

from __future__ import annotations

import secrets
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509

from certd.errors import Refused
from certd.lab.authority import Authority, HttpsIdentity
from certd.lab.faults import Faults
from certd.lab.jws import encode
from certd.lab.objects import Account, EabCredentials, Issued, Order, Records
from certd.lab.ocsp import PATH as OCSP_PATH
from certd.lab.ocsp import Responder
from certd.lab.options import Clock, LabOptions, refuse_other_than_loopback, wall_clock
from certd.lab.orders import OrderVerbs
from certd.lab.service import LogEntry, Service
from certd.lab.validation import Validator
from certd.lab.web import LoopbackServer


class LabCa:
    """One CA. Use it as a context manager, or call `start` and `stop`.

    After `stop` it may be started again: same URLs, same keys, same records, as a CA after an outage.
    `clock` rules everything but the TLS certificate of the endpoint. `directory` is where `trust.pem` and `root.pem`
    lie; without it a temporary one is made, and removed by `stop`.
    """

    def __init__(
        self, options: LabOptions | None = None, *, clock: Clock = wall_clock, directory: Path | None = None
    ) -> None:
        self.options = options or LabOptions()
        refuse_other_than_loopback(self.options.address)
        self.faults = Faults()
        self.records = Records()
        self.authority = Authority(clock())
        self._clock = clock
        self._identity = HttpsIdentity()
        self._directory = directory
        self._temporary = directory is None
        self._responder = Responder(self.records, self.authority, self.options, self.faults, clock)
        self._validator = Validator(self.records, self.options, self.faults, clock)
        orders = OrderVerbs(
            records=self.records,
            options=self.options,
            authority=self.authority,
            faults=self.faults,
            validate=self._validator.submit,
            ocsp_url=lambda: self.ocsp_url,
        )
        self._service = Service(self.records, self.options, self.faults, orders, clock, lambda: self._https.port)
        address = self.options.address
        self._https = LoopbackServer(self._service.handle, address=address, port=self.options.port, clock=clock)
        self._http = LoopbackServer(self._responder.handle, address=address, port=self.options.ocsp_port, clock=clock)
        self._running = False

    def start(self) -> None:
        """Listen. Raises OSError when a port is taken."""
        if self._running:
            return
        directory = self._make_directory()
        (directory / "trust.pem").write_bytes(self._identity.root_pem)
        (directory / "root.pem").write_bytes(self.authority.root_pem())
        self._https.context = self._context(directory)
        self._service.leaving.clear()
        self._responder.leaving.clear()
        self._running = True
        try:
            self._http.start()
            self._validator.start()
            self._https.start()
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Close every port and connection, end every thread, remove what was written to disk."""
        if not self._running:
            return
        self._running = False
        self._service.leaving.set()
        self._responder.leaving.set()
        self._https.stop()
        self._validator.stop()
        self._http.stop()
        self._remove_files()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what a client is told --------------------------------------------------------------------------------

    @property
    def directory_url(self) -> str:
        """The one URL to configure."""
        return f"{self._service.base}/getDirectory"

    @property
    def ocsp_url(self) -> str:
        """Stands in every certificate issued."""
        return f"http://{self.options.address}:{self._http.port}{OCSP_PATH}"

    @property
    def trust_path(self) -> Path:
        """PEM of the root of the https endpoint: to be trusted for it, and for nothing else."""
        return self._place() / "trust.pem"

    @property
    def root_path(self) -> Path:
        """PEM of the root above the issued certificates."""
        return self._place() / "root.pem"

    def new_eab(self) -> tuple[str, str]:
        """Fresh EAB credentials as a reseller hands them out: the kid and the MAC key in base64url."""
        key = secrets.token_bytes(32)
        credentials = EabCredentials(f"lab-{secrets.token_hex(8)}", key, self._clock())
        with self.records.lock:
            self.records.eab[credentials.kid] = credentials
        return credentials.kid, encode(key)

    # --- what a test looks at and does ------------------------------------------------------------------------

    @property
    def issued(self) -> Sequence[Issued]:
        """Every certificate, in the order of issuance."""
        with self.records.lock:
            return list(self.records.certificates.values())

    @property
    def orders(self) -> Sequence[Order]:
        """Every order, the oldest first."""
        with self.records.lock:
            return list(self.records.orders.values())

    @property
    def accounts(self) -> Sequence[Account]:
        """Every account, the oldest first. A test may set its `status`."""
        with self.records.lock:
            return list(self.records.accounts.values())

    @property
    def log(self) -> Sequence[LogEntry]:
        """The requests to the ACME endpoint, the oldest first."""
        return list(self._service.log)

    def revoke(
        self, serial: str, reason: x509.ReasonFlags = x509.ReasonFlags.unspecified, at: datetime | None = None
    ) -> None:
        """Revoke as the CA itself. Raises `Refused` for a serial that it never issued."""
        with self.records.lock:
            issued = self.records.by_serial.get(serial)
            if issued is None:
                raise Refused(f"the lab CA issued no certificate with the serial {serial}")
            issued.revoked_at, issued.reason = at or self._clock(), reason

    def forget_account(self, account: Account) -> None:
        """From now on the CA knows nothing of it (accountDoesNotExist)."""
        with self.records.lock:
            self.records.accounts.pop(account.id, None)
            self.records.by_key.pop(account.jwk.thumbprint, None)

    # --- files ------------------------------------------------------------------------------------------------

    def _place(self) -> Path:
        if self._directory is None:
            raise Refused("the lab CA has written no files yet: start it first")
        return self._directory

    def _make_directory(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="certd-lab-"))
        else:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._directory

    def _remove_files(self) -> None:
        directory = self._place()
        if self._temporary:
            shutil.rmtree(directory, ignore_errors=True)
            return
        for name in ("trust.pem", "root.pem"):
            (directory / name).unlink(missing_ok=True)

    def _context(self, directory: Path) -> ssl.SSLContext:
        """The ssl module reads keys from files only: this one exists for the length of a call."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.NamedTemporaryFile(dir=directory, suffix=".pem") as file:
            file.write(self._identity.key_pem + self._identity.certificate_pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context
