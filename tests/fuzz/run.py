"""Feeds every target for some seconds, each in a process of its own, and prints how often it was executed.

With atheris the changes are guided by coverage; without it they are random ones of the seeds. What is learned is kept
below .fuzz/TARGET/, and input that breaks a promise as .fuzz/TARGET-*, to be given to the target again:
`python tests/fuzz/run.py --one FILE TARGET`.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PLACE = Path(__file__).parents[2] / ".fuzz"
LONGEST = 16 * 1024
"""Bytes of one input."""
_EXECUTED = re.compile(r"(?:stat::number_of_executed_units:|^executed) *(\d+)", re.MULTILINE)


def main() -> int:
    arguments = _arguments()
    if arguments.one is not None:
        _target(arguments.targets[0])(arguments.one.read_bytes())
        return 0
    if arguments.feed:
        return _feed(arguments.targets[0], arguments.seconds)
    from targets import TARGETS

    guided = importlib.util.find_spec("atheris") is not None
    print(f"{arguments.seconds} s each, {'guided by coverage' if guided else 'at random: atheris is not installed'}")
    broken = [name for name in arguments.targets or TARGETS if not _run(name, arguments.seconds)]
    return 1 if broken else 0


def _run(name: str, seconds: int) -> bool:
    """Feed one target in a process of its own; whether it kept its promise."""
    command = [sys.executable, __file__, "--feed", "--seconds", str(seconds), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    executed = _EXECUTED.findall(done.stdout)
    print(
        f"{name:10} {int(executed[-1]) if executed else 0:>10,} executions{'' if done.returncode == 0 else ': BROKEN'}"
    )
    if done.returncode != 0:
        print("\n".join(done.stdout.splitlines()[-40:]))
    return done.returncode == 0


def _feed(name: str, seconds: int) -> int:
    corpus = PLACE / name
    corpus.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("atheris") is None:
        return _at_random(name, seconds)
    import atheris

    with atheris.instrument_imports(include=["certd"]):
        target = _target(name)
    _plant(name, corpus)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-print_final_stats=1", "-timeout=20"]
    options += [f"-artifact_prefix={PLACE}/{name}-", "-rss_limit_mb=1024", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target)
    atheris.Fuzz()
    return 0


def _at_random(name: str, seconds: int) -> int:
    from seeds import seeds

    target, known, rng = _target(name), seeds()[name], random.Random()
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = _changed(rng.choice(known), rng)
        count += 1
        try:
            target(data)
        except BaseException:
            (PLACE / f"{name}-random").write_bytes(data)
            print(f"executed {count}")
            raise
    print(f"executed {count}")
    return 0


def _changed(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 6)):
        begin = rng.randint(0, len(data))
        end = min(len(data), begin + rng.randint(0, 20))
        data = data[:begin] + rng.choice((b"", rng.randbytes(rng.randint(1, 8)), data[begin:end] * 2)) + data[end:]
    return data[:LONGEST]


def _target(name: str) -> Callable[[bytes], None]:
    from targets import TARGETS

    return TARGETS[name]


def _plant(name: str, corpus: Path) -> None:
    from seeds import seeds

    for number, seed in enumerate(seeds()[name]):
        (corpus / f"seed-{number}").write_bytes(seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--one", type=Path, metavar="FILE", help="give this input to the target, once")
    parser.add_argument("--feed", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
