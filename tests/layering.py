"""The shape of the package as rules: layers, library owners, pure modules, names and lengths.

Works on sources, not on imported modules, so that a TYPE_CHECKING import counts like every other and a rule can be
tried on sources made up for the purpose.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = {
    "certd": 0,
    "certd.errors": 0,
    "certd.text": 0,
    "certd.atomicfile": 0,
    "certd.model": 1,
    "certd.clock": 1,
    "certd.dial": 1,
    "certd.logs": 1,
    "certd.plan": 2,
    "certd.reasons": 2,
    "certd.config": 2,
    "certd.pki": 2,
    "certd.http": 2,
    "certd.caa": 3,
    "certd.ocsp": 3,
    "certd.probe": 3,
    "certd.acme": 3,
    "certd.challenges": 4,
    "certd.store": 5,
    "certd.grants": 5,
    "certd.deploy": 5,
    "certd.budget": 5,
    "certd.effects": 6,
    "certd.status": 6,
    "certd.engine": 7,
    "certd.metrics": 7,
    "certd.scheduler": 8,
    "certd.systemd": 8,
    "certd.alarms": 8,
    "certd.sockets": 8,
    "certd.daemon": 9,
    "certd.lab": 9,
    "certd.migrate": 9,
    "certd.cli": 10,
    "certd.__main__": 11,
}
"""Unit (a module, or a package with all in it) -> layer. A unit imports from lower layers and from itself."""

OWNERS = {
    "apscheduler": ("certd.scheduler",),
    "certifi": ("certd.http",),
    "cryptography": ("certd.pki", "certd.ocsp", "certd.lab"),
    "dns": ("certd.caa",),
    "idna": ("certd.config",),
    "josepy": ("certd.acme.jws",),
    "prometheus_client": ("certd.metrics",),
    "requests": ("certd.http",),
    "rich": ("certd.cli",),
    "sdnotify": ("certd.systemd",),
    "ssl": ("certd.probe", "certd.lab"),
    "subprocess": ("certd.deploy", "certd.lab"),
    "urllib3": ("certd.http",),
    "yaml": ("certd.config",),
}
"""Library -> the only units and modules that may import it. msgspec is the vocabulary's own and free to all."""

FREE = {"msgspec"}

PURE = {
    "certd.errors": ("certd.errors",),
    "certd.text": ("certd.text",),
    "certd.model": ("certd.model",),
    "certd.plan": ("certd.plan", "certd.model", "certd.errors"),
    "certd.reasons": ("certd.reasons", "certd.model"),
    "certd.acme.fields": ("certd.errors", "certd.text"),
    "certd.acme.messages": ("certd.acme.fields", "certd.acme.problem", "certd.errors", "certd.model", "certd.text"),
    "certd.acme.problem": ("certd.errors", "certd.text"),
    "certd.acme.problems": (
        *("certd.acme.explanations_en", "certd.acme.explanations_ja", "certd.acme.judgements", "certd.acme.order"),
        *("certd.acme.problem", "certd.errors", "certd.model", "certd.text"),
    ),
    "certd.acme.lookup": (
        *("certd.acme.judgements", "certd.acme.problem", "certd.acme.problems", "certd.errors", "certd.model"),
        "certd.text",
    ),
    "certd.acme.explanations_en": ("certd.model",),
    "certd.acme.explanations_ja": ("certd.acme.explanations_en", "certd.model"),
    "certd.acme.judgements": ("certd.model",),
    "certd.acme.order": ("certd.acme.messages", "certd.acme.problem", "certd.errors", "certd.model", "certd.text"),
}
"""Pure units -> what of certd they may import. They do no input or output and know neither clock nor chance."""

IMPURE_LIBRARIES = {
    *(
        "asyncio",
        "concurrent",
        "fcntl",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "random",
        "secrets",
        "select",
    ),
    *("selectors", "shutil", "signal", "socket", "socketserver", "tempfile", "threading", "time", "urllib.request"),
}
IMPURE_CALLS = {"open", "print", "input", "now", "utcnow", "today"}
"""As names or as attributes: `datetime.now()` reads the clock."""

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
MAX_LINES = 400
MAX_LINES_OF_DATA = 500
"""For certd.model, whose modules are flat lists of declarations."""


@dataclass(frozen=True)
class Import:
    """One imported module, as far as it can be told: `from certd.acme import order` imports certd.acme.order."""

    target: str
    line: int


def package_sources(root: Path = ROOT) -> dict[str, str]:
    """Module name -> source, of the whole package."""
    found = {}
    for path in sorted((root / "certd").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def violations(sources: dict[str, str]) -> list[str]:
    """Every broken rule as `module:line: what is wrong`; a clean package has none."""
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        tree = ast.parse(source, module)
        imports = list(_imports(tree, sources.keys()))
        graph[module] = {i.target for i in imports if i.target in sources}
        found += _of_the_module(module, source)
        found += [f"{module}:{line}: {text}" for line, text in _of_the_imports(module, imports)]
        found += [f"{module}:{line}: {text}" for line, text in _of_the_code(module, tree)]
    return found + _cycles(graph)


def unit_of(module: str) -> str | None:
    """The unit of LAYERS that `module` belongs to; None for one that has no layer yet."""
    if module == "certd":
        return module
    unit = ".".join(module.split(".")[:2])
    return unit if unit in LAYERS else None


def _within(module: str, units: tuple[str, ...]) -> bool:
    return any(module == unit or module.startswith(f"{unit}.") for unit in units)


def _imports(tree: ast.Module, modules: Container[str]) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                member = f"{base}.{alias.name}"
                yield Import(member if member in modules else base, node.lineno)


def _of_the_module(module: str, source: str) -> Iterator[str]:
    if unit_of(module) is None:
        yield f"{module}:1: has no layer; give its unit one in LAYERS"
    if FORBIDDEN_NAMES.intersection(module.split(".")):
        yield f"{module}:1: a name that says nothing of what is in it"
    limit = MAX_LINES_OF_DATA if unit_of(module) == "certd.model" else MAX_LINES
    if (lines := source.count("\n")) > limit:
        yield f"{module}:1: {lines} lines, more than {limit}: split it by noun"


def _of_the_imports(module: str, imports: list[Import]) -> Iterator[tuple[int, str]]:
    for i in imports:
        top = i.target.partition(".")[0]
        if i.target.startswith("."):
            yield i.line, f"relative import of {i.target}"
        elif top == "certd":
            yield from ((i.line, text) for text in _of_an_own_import(module, i.target))
        elif top in OWNERS:
            if not _within(module, OWNERS[top]):
                yield i.line, f"{top} belongs to {', '.join(OWNERS[top])}"
        elif top not in FREE and top not in sys.stdlib_module_names:
            yield i.line, f"{top} has no owner; name one in OWNERS"
        if _pure(module) and (top in IMPURE_LIBRARIES or i.target in IMPURE_LIBRARIES):
            yield i.line, f"pure, but imports {i.target}"


def _of_an_own_import(module: str, target: str) -> Iterator[str]:
    unit, other = unit_of(module), unit_of(target)
    if unit is None or other is None:
        return
    if unit != other and LAYERS[other] >= LAYERS[unit]:
        yield f"layer {LAYERS[unit]} imports {target} of layer {LAYERS[other]}"
    elif (allowed := _pure(module)) and not _within(target, (*allowed, module)):
        yield f"pure, but imports {target}"


def _of_the_code(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("import_module", "__import__"):
            yield node.lineno, f"{name}() hides an import from these rules"
        elif _pure(module) and name in IMPURE_CALLS:
            yield node.lineno, f"pure, but calls {name}()"


def _pure(module: str) -> tuple[str, ...]:
    """What of certd the pure `module` may import; empty if it is not pure."""
    return next((allowed for unit, allowed in PURE.items() if _within(module, (unit,))), ())


def _cycles(graph: dict[str, set[str]]) -> list[str]:
    """One line for every import that leads back to its own module."""
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(f"{module}:1: imports go in a circle: {' -> '.join((*path[path.index(module) :], module))}")
        elif module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    return found
