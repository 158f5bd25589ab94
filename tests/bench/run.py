"""`make bench`: what certd costs, each beside a yardstick measured in the same run on the same machine.

Prints; judges nothing. Absolute figures are the machine's; the ratios travel.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import msgspec
import yaml

from certd.challenges import OPTIONS
from certd.config import Surroundings, load
from certd.model.facts import AccountState, CaFacts, CertificateFacts, Live
from certd.model.records import CertificateRecord, Idle, Leaf, Ledger, Timer
from certd.model.specs import CertificateSpec, KeyType
from certd.plan.certificate import decide

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
ROUNDS = 3
NOW = datetime(2026, 11, 23, tzinfo=UTC)

HEAD = """\
state_dir: /var/lib/certd
cas:
  jprs:
    directory: https://acme.example.jp/directory
    contact: [ops@example.jp]
    terms_of_service_agreed: true
defaults:
  ca: jprs
  challenge: {type: http-01, webroot: /var/www/html}
  deploy: {reload: {service: httpd}}
certificates:
"""


def main() -> None:
    print(f"{'for ' + format(COUNT, ',') + ' certificates':44}{'certd':>12}{'yardstick':>14}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.yaml"
        path.write_text(HEAD + "".join(f"  - domains: [h{i}.example.jp, www.h{i}.example.jp]\n" for i in range(COUNT)))
        measure_configuration(path)
    measure_decisions()


def measure_configuration(path: Path) -> None:
    """Memory after loading (the loader's leavings included) beside the file's size; time beside the YAML parser."""
    surroundings = Surroundings.current(check_host=False)
    before = resident()
    config = load(path, solvers=OPTIONS, surroundings=surroundings)
    assert len(config.certificates) == COUNT
    row("memory after loading (the file's size)", resident() - before, path.stat().st_size / 2**20, "MiB")
    ours = best(lambda: load(path, solvers=OPTIONS, surroundings=surroundings))
    parser = best(lambda: yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader))
    row("load the configuration (YAML parser alone)", ours, parser, "s")


def measure_decisions() -> None:
    """Time of deciding what every idle certificate needs, beside reading all their records from JSON."""
    subjects = [subject(i) for i in range(COUNT)]
    records = [msgspec.json.encode(record) for _, record, _ in subjects]
    decoder = msgspec.json.Decoder(CertificateRecord)
    ours = best(lambda: [decide(spec, record, facts, NOW) for spec, record, facts in subjects])
    row("decide (decode the records)", ours, best(lambda: [decoder.decode(record) for record in records]), "s")
    print(f"{'decisions per second':44}{COUNT / ours:>12,.0f}")


def subject(number: int) -> tuple[CertificateSpec, CertificateRecord, CertificateFacts]:
    """An ordinary certificate in the middle of its life, with nothing due."""
    names = (f"h{number}.example.jp", f"www.h{number}.example.jp")
    leaf = Leaf(f"{number:x}", NOW - timedelta(days=30), NOW + timedelta(days=60), names, KeyType.RSA2048)
    ledger = Ledger(probe=Timer(NOW, NOW + timedelta(hours=6)), status_check=Timer(NOW, NOW + timedelta(days=1)))
    facts = CertificateFacts(live=Live(1, leaf), link=1, ca=CaFacts("https://ca.example.jp", AccountState.READY))
    return CertificateSpec(name=names[0], domains=names, ca="jprs"), Idle(ledger), facts


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some rounds: the one that was disturbed least."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return min(times)


def resident() -> float:
    """This process's resident memory in MiB."""
    gc.collect()
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


def row(what: str, ours: float, yardstick: float, unit: str) -> None:
    print(f"{what:44}{ours:>10.3f} {unit:<3}{yardstick:>9.3f} {unit:<3}{ours / yardstick:>8.2f}")


if __name__ == "__main__":
    main()
