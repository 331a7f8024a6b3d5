"""Names and words: one meaning for each class name, plain English, and purity of the modules that claim it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("sutler", "webhook", "certs", "provisioner")
MODULES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))

BANNED = re.compile(
    r"\b(?:whoever|whatever|somebody|nobody|anybody|anew|mend(?:s|ed|ing)?|half-way|in\s+the\s+way|of\s+ours|is\s+for|"
    r"rooms?|told|goes\s+on|for\s+whom|theirs|the\s+seed|in\s+vain)\b",
    re.IGNORECASE,
)
"""Words of a private dialect, each with a plain equivalent: any, a user, again, fix, capacity, matches, continues."""

TEXTS = sorted(
    path
    for top in (*PACKAGES, "docs", "manifests", *(path.name for path in REPOSITORY.glob("*.md")))
    for path in ([REPOSITORY / top] if (REPOSITORY / top).is_file() else (REPOSITORY / top).rglob("*"))
    if path.suffix in {".py", ".md", ".yaml", ".js", ".html", ".css"}
)

IO_MODULES = frozenset(
    (
        *("aiohttp", "kubernetes_asyncio", "rados", "rbd", "uvloop", "pydantic_settings"),
        *("socket", "ssl", "subprocess", "http", "urllib.request", "sutler.kube.client", "provisioner.ceph.cluster"),
    )
)


def test_class_names_are_unique() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(_name(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_banned_words_do_not_occur() -> None:
    found = {_name(path): sorted(_banned(path)) for path in TEXTS}
    assert {name: words for name, words in found.items() if words} == {}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def _banned(path: Path) -> set[str]:
    return {" ".join(found[0].lower().split()) for found in BANNED.finditer(path.read_text())}


def _dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """What a module of this repository imports when it is imported; nothing for any other module."""
    path = _file(module)
    if path is None:
        return ()
    names = []
    for node in _executed(_tree(path).body):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    packages = [name.rpartition(".")[0] for name in names if _file(name)]
    return tuple(name for name in (*names, *packages) if name.split(".")[0] not in PACKAGES or _file(name))


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run on import, without those for type checkers."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _executed(node.body)


def _file(module: str) -> Path | None:
    base = REPOSITORY.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file() and module.split(".", maxsplit=1)[0] in PACKAGES:
            return path
    return None


PURE = [path for path in MODULES if "Pure: no I/O" in (ast.get_docstring(_tree(path)) or "")]


@pytest.mark.parametrize("path", PURE, ids=_name)
def test_module_that_is_called_pure_imports_no_io(path: Path) -> None:
    seen, waiting = set[str](), [_dotted(path)]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        waiting += _imports(module)
    parents = {".".join(module.split(".")[:end]) for module in seen for end in range(1, module.count(".") + 2)}
    assert parents & IO_MODULES == set()
