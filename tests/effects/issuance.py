"""The real world against the lab CA: one certificate, from newOrder to a set on disk, step by step."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from parts import Webroot, eventually
from statedir import NAME, opened

from certd import pki
from certd.effects.real import RealWorld
from certd.lab import LabCa
from certd.model import actions as do
from certd.model import events as ev
from certd.model import orders
from certd.model.codes import Because
from certd.model.records import Ledger, Ordering, Timer
from certd.model.specs import CaSpec, CertificateSpec, Config, Deployment, EabSpec, KeyType, SolverSpec

START = datetime.fromisoformat("2026-11-23T09:00:00+00:00")


class Times:
    """The time of CA and certd."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Issuance:
    """One world, one store, one certificate."""

    def __init__(self, root: Path, lab: LabCa, webroot: Webroot, times: Times) -> None:
        self.lab, self.webroot, self.times = lab, webroot, times
        self.root = root
        self.store = opened(root / "state")
        self.heard: list[tuple[str, ev.AccountEvent]] = []
        self.warnings: list[str | None] = []
        self.dates: list[datetime] = []
        options = {"webroot": str(webroot.path), "self_check": f"127.0.0.1:{webroot.port}"}
        self.spec = CertificateSpec(
            NAME,
            (NAME,),
            "jprs",
            key=KeyType.P256,
            challenges=(("*", SolverSpec("http-01", options)),),
            deploy=(Deployment("web", verify=None),),
        )
        self.ca = CaSpec(
            "jprs",
            lab.directory_url,
            contact=("ops@example.jp",),
            terms_of_service_agreed=True,
            trust=lab.trust_path,
        )
        self.world = self.new_world()

    def config(self, *cas: CaSpec) -> Config:
        return Config(
            path=self.root / "config.yaml",
            state_dir=self.root / "state",
            runtime_dir=self.root / "run",
            cas={ca.name: ca for ca in cas},
            servers={},
            certificates={NAME: self.spec},
            http_timeout=timedelta(seconds=10),
        )

    def new_world(self) -> RealWorld:
        return RealWorld(
            self.config(self.ca),
            self.store,
            now=self.times,
            on_date=self.dates.append,
            on_account=lambda ca, event: self.heard.append((ca, event)),
            on_warning=lambda _, warning: self.warnings.append(warning),
        )

    def close(self) -> None:
        self.world.close()
        self.store.close()

    # --- accounts -----------------------------------------------------------------------------------------------

    def with_eab(self, kid: str, mac: str) -> CaSpec:
        """The CA with credentials; the MAC key goes into a file of its own."""
        path = self.root / f"{kid}.key"
        path.write_text(mac)
        path.chmod(0o600)
        return replace(self.ca, eab=EabSpec(kid, hmac_key_file=path))

    def register(self) -> ev.AccountEvent:
        self.world.account(self.ca, do.WriteKey())
        return self.world.account(self.ca, do.Register(find_first=False))

    # --- orders -------------------------------------------------------------------------------------------------

    def begun(self) -> Ordering:
        """The intent, as the engine records it before newOrder."""
        return Ordering(
            ledger=Ledger(),
            because=Because.NO_LIVE_CERTIFICATE,
            ca="jprs",
            directory=self.ca.directory,
            key_id="k1",
            domains=self.spec.domains,
            key=self.spec.key,
            placed_at=self.times(),
            poll=Timer(self.times(), self.times()),
        )

    def do(self, record: Ordering, action: Any) -> Any:
        return self.world.order(self.spec, record, action)

    def placed(self) -> Ordering:
        record = self.begun()
        placed = self.do(record, do.PlaceOrder(Because.NO_LIVE_CERTIFICATE))
        assert isinstance(placed, ev.OrderPlaced), placed
        return replace(record, order_url=placed.url)

    def step(self, record: Ordering) -> Any:
        return self.do(record, do.ReadOrder()).step

    def presented(self, record: Ordering) -> tuple[Ordering, do.PresentChallenges]:
        read = self.do(record, do.ReadOrder())
        action = do.PresentChallenges(read.step.tasks, read.places)
        done = self.do(record, action)
        assert isinstance(done, ev.ChallengesPresented), done
        return replace(record, placed=done.tokens), action

    def validated(self, record: Ordering) -> tuple[Ordering, str]:
        """Up to the order being ready; the URL to finalize at."""
        record, action = self.presented(record)
        told = self.do(record, do.RespondToChallenges(action.tasks))
        record = replace(record, responded=told.responded)
        eventually(lambda: isinstance(self.step(record), orders.Finalize), "the order to be ready")
        return record, self.step(record).url

    def finalized(self) -> tuple[Ordering, str]:
        """Up to the certificate lying there; the URL to download it from."""
        record, url = self.validated(self.placed())
        self.do(record, do.FinalizeOrder(url))
        record = replace(record, finalized_at=self.times())
        eventually(lambda: isinstance(self.step(record), orders.Download), "the certificate")
        return record, self.step(record).url

    def issued(self) -> ev.Issued:
        record, url = self.finalized()
        done = self.do(record, do.DownloadCertificate(url))
        assert isinstance(done, ev.Issued), done
        return done


def is_key(pem: bytes | None) -> bool:
    """A private key that can be used."""
    return pem is not None and base64.b64encode(pki.make_csr(pem, (NAME,))) != b""
