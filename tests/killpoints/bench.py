"""One site on which certd is killed, again and again: a lab CA, a real Apache, and what must hold after each death."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from clockwork import BEGIN
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from killpoints.acts import Act, read_log
from killpoints.lives import NAME, SERVER, Life, SharedTime
from parts import Apache
from parts.ports import LOOPBACK

from certd import pki
from certd.atomicfile import TEMP_PREFIX
from certd.lab import LabCa, LabOptions
from certd.lab.apache import RUNNING

LAG = timedelta(minutes=15)
"""Until then the responder does not know a new certificate: longer than the propagation delay, so that it is asked
several times in vain.
"""
DEMANDING = ["SSLCipherSuite DEFAULT:@SECLEVEL=3"]
"""OpenSSL then takes P-256 and no RSA key of 2048 bits: Apache's parent exits when it loads one, and does not start."""
FIRST_BACK_OFF = timedelta(seconds=45)
"""One minute, less a quarter."""
MOVES = ("swapping", "restoring", "reapplying")
"""The stages of a server in which live links may move."""

_GRACEFUL = """\
#!/bin/sh
# As a unit of Type=notify: asked to reload, and waited for until it has loaded or died.
exec 9> {root}/busy
flock 9
loads() {{ grep -c 'resuming normal operations' {log}; }}
before=$(loads)
{graceful} 9>&- || exit
for _ in $(seq 500); do
    [ "$(loads)" -gt "$before" ] && exit 0
    kill -0 "$(cat {pid})" 2> /dev/null || exit 0
    sleep 0.01
done
"""
_START = "#!/bin/sh\nexec 9> {root}/busy\nflock 9\nrm -f {pid}\n{start} 9>&-\n"
_STATUS = '#!/bin/sh\n[ -e {pid} ] || exit 3\nkill -0 "$(cat {pid})" 2> /dev/null || exit 1\n'


class _Here(Executor):
    """Does the CA's validations at once, so that each life takes the same course."""

    def submit(self, work: Any, /, *args: Any, **options: Any) -> Future[Any]:
        work(*args, **options)
        return Future()


class PromptCa(LabCa):
    """The lab CA, done with a validation before it has answered the request for it."""

    def start(self) -> None:
        super().start()
        pool, self._validator._pool = self._validator._pool, _Here()
        assert pool is not None
        pool.shutdown()


class Mark(NamedTuple):
    """What the CA had seen when a story began, and what was live."""

    accounts: int
    orders: int
    issued: int
    serial: str | None
    older: str | None
    """What a roll-back goes back to."""


class Bench:
    """`tell` is one life; `at_death` says what must hold on the disk whenever one ends."""

    def __init__(self, root: Path, tracer: Sequence[str] = ()) -> None:
        self.root = root
        self.state = root / "state"
        self.time = SharedTime.begin(root / "time", BEGIN)
        self.apache = Apache(root / "apache", [NAME], self.state / "live")
        self.spare = Apache(root / "spare", [NAME], self.state / "live")
        options = LabOptions(http_port=self.apache.http_port, ocsp_lag=LAG, processing_polls=1)
        self.ca = PromptCa(options, clock=lambda: self.time.true, directory=root / "ca")
        self.ca.start()
        self._commands = self._write_commands()
        self._key_file = root / "eab.key"
        self._key_file.touch(0o600)
        self.account_key = b""
        self.places = (str(self.state), str(self.apache.webroot))
        self.pid = 0
        """Of the latest life."""
        self._closed = False
        self.configure()
        environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
        self._lives_log = (root / "lives.log").open("w+b")
        self._mother = subprocess.Popen(
            [*tracer, sys.executable, str(Path(__file__).with_name("lives.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._lives_log,
            env=environment,
        )

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        self._mother.stdin.close()
        self._mother.wait()
        self._mother.stdout.close()
        self._lives_log.close()
        for apache in (self.apache, self.spare):
            apache.close()
        self.ca.stop()

    # --- certd's lives

    def live(
        self, goal: str, *, last: int = 0, word: str = "", before: str | None = None, again: bool = False
    ) -> tuple[list[Act], bool]:
        """One life of certd: its acts, and whether it was killed. Anything but its goal and its death is an error."""
        log = self.root / "acts"
        life = Life(
            str(self.config_path), str(self.root / "time"), str(log), self.places, goal, word, again, before, last
        )
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        self._mother.stdin.write(msgspec.json.encode(life) + b"\n")
        self._mother.stdin.flush()
        self.pid, code = json.loads(self._mother.stdout.readline())
        assert code in (0, -9), (self.root / "lives.log").read_text()[-6000:]
        self._wait_for_commands()
        self.time.pass_by(timedelta(seconds=5))
        return read_log(log), code != 0

    def mark(self, older: str | None = None) -> Mark:
        return Mark(len(self.ca.accounts), len(self.ca.orders), len(self.ca.issued), self.serial(), older)

    # --- the site

    @property
    def config_path(self) -> Path:
        return self.root / "config.yaml"

    def new_credentials(self) -> None:
        self._kid, mac = self.ca.new_eab()
        self._key_file.write_text(mac)

    def configure(self, *, key: str = "p256") -> None:
        if not self.ca.records.eab:
            self.new_credentials()
        lab = {
            "directory": self.ca.directory_url,
            "contact": ["ops@example.jp"],
            "terms_of_service_agreed": True,
            "eab": {"kid": self._kid, "hmac_key_file": str(self._key_file)},
            "trust": str(self.ca.trust_path),
        }
        challenge = {"type": "http-01", "webroot": str(self.apache.webroot), "self_check": False}
        verify = {"connect": [f"{LOOPBACK}:{self.apache.tls_port}"]}
        whole = {
            "state_dir": str(self.state),
            "runtime_dir": str(self.root / "run"),
            "cas": {"lab": lab},
            "servers": {SERVER: {"reload": self._commands, "verify": verify}},
            "defaults": {"ca": "lab", "key": key, "challenge": challenge, "deploy": SERVER},
            "certificates": [{"domains": [NAME]}],
        }
        self.config_path.write_text(yaml.safe_dump(whole))

    def forget_everything(self) -> None:
        """A new machine: no state, new credentials. Apache serves what it has loaded."""
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.apache.webroot / ".well-known", ignore_errors=True)
        self.account_key = b""
        self.new_credentials()
        self.configure()

    def refresh(self) -> None:
        """Apache serves what lies on the disk."""
        if self.apache.status() == RUNNING:
            self.apache.reload()
        else:
            self.apache.start()

    def serial(self) -> str | None:
        """What is live."""
        link = self.state / "live" / NAME
        if not link.exists():
            return None
        leaf = pki.read_set((link / "fullchain.pem").read_bytes(), (link / "privkey.pem").read_bytes())
        return None if pki.is_placeholder((link / "fullchain.pem").read_bytes()) else leaf.serial

    def version(self) -> int:
        """The number of what is live."""
        return int((self.state / "live" / NAME).readlink().name)

    # --- what must hold

    def at_death(self, mark: Mark) -> None:
        """Whatever moment it is: complete sets (I1), the keys (I5, I7), and Apache starts from the disk as it is."""
        live = self.serial()
        issued = [one.serial for one in self.ca.issued[mark.issued :]]
        assert live in (mark.serial, mark.older, *issued), "neither the old certificate nor the new one is live"
        for key in self.state.glob("accounts/*/account.key"):
            self.account_key = self.account_key or key.read_bytes()
            assert key.read_bytes() == self.account_key, "the account has another key"
        kept = self._public_keys()
        for order in self.ca.orders[mark.orders :]:
            assert order.csr is None or _public(order.csr) in kept, "the key of a finalized order is lost"
        if (self.state / "live" / NAME).exists():
            self.spare.start()
            served = self.spare.served(NAME)
            self.spare.stop()
            assert served is not None, "a fresh Apache does not serve"
            assert live is None or served == live

    def at_end(self, mark: Mark, *, orders: int) -> None:
        """One order was finalized and one certificate issued, or none; one account, its credentials spent once."""
        new = self.ca.orders[mark.orders :]
        finalized = [order for order in new if order.csr is not None]
        assert len(finalized) == orders == len(self.ca.issued) - mark.issued, "another number of finalized orders"
        # An answer to newOrder that never arrived costs another order, after the first back-off (I4).
        assert len(new) <= orders + 1
        assert all(b.created_at - a.created_at >= FIRST_BACK_OFF for a, b in pairwise(new)), "no wait"
        assert sum(one.spent for one in self.ca.records.eab.values()) == len(self.ca.accounts)
        assert list(self.state.rglob(".certd-tmp-*")) == [], "leftovers"
        assert list((self.apache.webroot / ".well-known" / "acme-challenge").iterdir()) == [], "challenges"
        self.assert_served()

    def assert_served(self) -> None:
        """Apache has loaded what is live (I3)."""
        assert self.apache.served(NAME) == self.serial(), "a reload was forgotten"

    def gate_kept(self, mark: Mark, acts: Sequence[Act]) -> None:
        """Links move in an announced section only, and to a new set not before the responder knows it (I2)."""
        moved = [act for act in acts if act.what in ("rename", "replace") and act.where == f"{self.state}/live/{NAME}"]
        for act in moved:
            assert mark.serial is None or act.phase.rpartition(" ")[2] in MOVES, act
            for one in self.ca.issued[mark.issued :] if mark.serial else ():
                assert datetime.fromisoformat(act.at) >= one.at + LAG, f"too early: {act}"

    def _public_keys(self) -> set[bytes]:
        name = self.state / "certs" / NAME
        found = [path for path in name.rglob("*.pem") if not any(part.startswith(TEMP_PREFIX) for part in path.parts)]
        kept = [path for path in found if path.name == "privkey.pem" or path.parent.name in ("pending", "parked")]
        return {_public(load_pem_private_key(path.read_bytes(), None)) for path in kept}

    # --- Apache's commands

    def _write_commands(self) -> dict[str, list[str]]:
        httpd = self.apache.httpd
        words = {
            "root": httpd.root,
            "log": httpd.error_log,
            "pid": httpd.pid_file,
            "graceful": subprocess.list2cmdline(httpd.argv("-k", "graceful")),
            "start": subprocess.list2cmdline(httpd.argv("-k", "start")),
        }
        argv = {}
        for name, text in (("command", _GRACEFUL), ("start", _START), ("active", _STATUS)):
            path = self.root / f"{name}.sh"
            path.write_text(text.format(**words))
            argv[name] = ["/bin/sh", str(path)]
        return argv

    def _wait_for_commands(self) -> None:
        """A command outlives the certd that ran it; on a real machine it ends long before certd is started again."""
        with (self.apache.root / "busy").open("w") as busy:
            fcntl.flock(busy, fcntl.LOCK_EX)


def _public(holder: Any) -> bytes:
    """Of a request or a private key."""
    return bytes(holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
