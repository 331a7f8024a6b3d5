"""The image, made by the Dockerfile's own steps in Debians of its base: no container builder needed.

As with a builder, a step is taken from the cache until its words, what it copies, or a step before it changes.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cluster import debian, layers, oci, packages, steps
from tests.cluster.errors import ClusterError

REPOSITORY = Path(__file__).parents[2]
Step = tuple[str, str]
_BASE = re.compile(r"^debian:(\w+)-slim$")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a builder has from the machine that it is on, so that pip finds its index. Files that they name come as copies.
_PASSED_ON = re.compile(r"^(https?_proxy|no_proxy|PIP_(?!FIND_LINKS|CERT|CONFIG_FILE)\w+)$", re.IGNORECASE)
_FILES = {"PIP_CERT": "PIP_CERT", "PIP_CONFIG_FILE": "PIP_CONFIG_FILE", "SSL_CERT_FILE": "PIP_CERT"}
# Counts the ways of making a layer: those made another way are not used.
_WAY = "1"


def stages() -> list[list[Step]]:
    """Instruction and arguments of each step, by stage; continuation lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.partition(" ") for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    found: list[list[Step]] = []
    for word, _, rest in lines:
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def ensured() -> None:
    """Make what the cache lacks of the image, so that no time is lost later."""
    with _built():
        pass


def write_archive(archive: Path, *names: str) -> Path:
    """Write the image of the working tree as it is as an OCI archive, with these references."""
    with _built() as image:
        return oci.write_archive(archive, names, [one.layer for one in image.stack], image.settings())


def unpack(root: Path) -> Path:
    """Make `root` the file system of the image of the working tree as it is."""
    with _built() as image:
        return image.unpacked(root)


@dataclass(frozen=True)
class _Image:
    """A stage as far as it has come."""

    key: str = ""
    stack: tuple[layers.Stored, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    workdir: str = "/"
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        return {
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "WorkingDir": self.workdir,
            "User": self.user,
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
        }

    def unpacked(self, root: Path) -> Path:
        root.mkdir()
        for one in self.stack:
            layers.unpack(one, root)
        return root


@dataclass(frozen=True)
class _Root:
    path: Path
    key: str
    """Of the last step that ran in it."""
    layers: int


@contextmanager
def _built() -> Iterator[_Image]:
    """The image, whose layers stay while this context lasts."""
    if os.geteuid() != 0:
        raise ClusterError(
            "the image is made in chroots, by root only: run as root, or build the Dockerfile with Docker"
        )
    folder = packages.cache() / "layers"
    with steps.locked(folder, "the image"), tempfile.TemporaryDirectory(prefix="image-") as outside:
        store = layers.Store(folder)
        build = _Build(store, folder / "build.log", Path(outside))
        try:
            image = build.image()
        except ClusterError as error:
            raise ClusterError(
                f"{error}\nThe image's steps need Debian's mirror and Python's package index, once. Try again when the"
                " network is there: what is done is kept. For a machine without a network, copy"
                f" {packages.cache()} from one where `make demo` has run"
            ) from None
        store.prune(build.keys)
        yield image


class _Build:
    def __init__(self, store: layers.Store, log: Path, work: Path) -> None:
        self._store = store
        self._log_file = log
        self._work = work
        self._stages: dict[str, _Image] = {}
        self._roots: dict[str, _Root] = {}
        self.keys: list[str] = []

    @cached_property
    def _log(self) -> steps.Steps:
        log = steps.Steps(self._log_file)
        log.say(f"Making what changed of the image, by the Dockerfile's steps; log: {log.log}")
        return log

    @cached_property
    def _from_outside(self) -> dict[str, str]:
        return dict(passed_on(self._work))

    def image(self) -> _Image:
        for number, stage in enumerate(stages()):
            image = _Image()
            for step in stage:
                image = self._step(str(number), image, *step)
            *_, name = stage[0][1].split(" AS ") if " AS " in stage[0][1] else [""]
            self._stages[name] = image
        if "_log" in self.__dict__:
            self._log.say("the image is made")
        return image

    def _step(self, stage: str, image: _Image, word: str, rest: str) -> _Image:
        match word:
            case "FROM":
                return self._from(rest.partition(" AS ")[0])
            case "COPY":
                return self._copied(image, rest)
            case "RUN":
                return self._ran(stage, image, rest)
            case "WORKDIR":
                image = replace(image, workdir=rest)
            case "ENV":
                image = replace(image, environment=_environment(image.environment, rest))
            case "USER":
                image = replace(image, user=rest)
            case "ENTRYPOINT":
                image = replace(image, entrypoint=tuple(json.loads(rest)))
            case "CMD":
                image = replace(image, command=tuple(json.loads(rest)))
            case _:
                raise ClusterError(f"{word} {rest}: the Dockerfile has a step that can't be made here")
        return replace(image, key=_digest(image.key, word, rest))

    def _from(self, name: str) -> _Image:
        if name in self._stages:
            return self._stages[name]
        base = _BASE.match(name)
        if base is None:
            raise ClusterError(f"FROM {name} is no Debian: nothing else can be made here")
        root = debian.ensured(f"base-{base[1]}", base[1], ["ca-certificates"])
        key = _digest(_WAY, name, (root / "var/lib/dpkg/status").read_text())
        found = self._found(key)
        if found is None:
            self._log.say(f"packing {name} …")
            found = self._store.make(key, ((path, root / path) for path in sorted(layers.state(root))))
        return _Image(key, (found,))

    def _found(self, key: str) -> layers.Stored | None:
        self.keys.append(key)
        return self._store.find(key)

    def _copied(self, image: _Image, rest: str) -> _Image:
        *names, target = rest.split()
        where = f"{image.workdir}/{target}" if not target.startswith("/") else target
        if names[0].startswith("--from="):
            other = self._stages[names.pop(0).removeprefix("--from=")]
            key = _digest(image.key, "COPY", rest, other.key)
            found = self._found(key)
            if found is None:
                self._log.say(f"COPY {rest} …")
                root = self._root_of(other)
                found = self._store.make(key, _placed(root, names, where))
        else:
            files = list(_placed(REPOSITORY, names, where))
            key = _digest(image.key, "COPY", rest, *(_content(name, path) for name, path in files))
            found = self._found(key) or self._store.make(key, files)
        return replace(image, key=key, stack=(*image.stack, found))

    def _ran(self, stage: str, image: _Image, rest: str) -> _Image:
        key = _digest(image.key, "RUN", rest)
        found = self._found(key)
        if found is None:
            root = self._root(stage, image)
            before = layers.state(root)
            environment = image.environment | self._from_outside
            command = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
            line = f"mkdir -p {image.workdir} && cd {image.workdir} && {rest}"
            entered = debian.entered(root, [*command, "/bin/sh", "-ec", line], [])
            self._log.run(f"RUN {rest.partition(' && ')[0][:100]}", entered, cwd=root)
            changed, removed = layers.difference(before, layers.state(root))
            found = self._store.make(key, ((name, root / name) for name in changed), removed)
            self._roots[stage] = _Root(root, key, len(image.stack) + 1)
        return replace(image, key=key, stack=(*image.stack, found))

    def _root(self, stage: str, image: _Image) -> Path:
        """The stage's file system for a step to run in, which has the layers of the steps before."""
        there = self._roots.get(stage) or _Root(self._work / f"stage-{stage}", "", 0)
        there.path.mkdir(exist_ok=True)
        for one in image.stack[there.layers :]:
            layers.unpack(one, there.path)
        return there.path

    def _root_of(self, image: _Image) -> Path:
        """The file system of a stage that is done: the one that its last step ran in, if one did."""
        ran = (root.path for root in self._roots.values() if root.key == image.key)
        return next(ran, None) or image.unpacked(self._work / f"copy-of-{image.key}")


def _environment(present: dict[str, str], rest: str) -> dict[str, str]:
    given = dict(one.split("=", 1) for one in rest.split())
    return present | {name: value.replace("$PATH", present["PATH"]) for name, value in given.items()}


def _placed(source: Path, names: Sequence[str], target: str) -> Iterator[tuple[str, Path]]:
    """Every file and folder that COPY brings, by its path in the image, folders before what is in them."""
    inside = target.strip("/").removesuffix("/.")
    for name in names:
        original = source / name.lstrip("/")
        if original.is_dir():
            below = [
                one for one in sorted(original.rglob("*")) if "__pycache__" not in one.parts or source != REPOSITORY
            ]
            yield from ((f"{inside}/{one.relative_to(original)}".lstrip("/"), one) for one in below)
        else:
            file = f"{inside}/{original.name}" if target.endswith(("/", "/.")) or len(names) > 1 else inside
            yield file.lstrip("/"), original


def _content(name: str, path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return f"{name} {path.stat().st_mode & 0o170100} {digest}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def passed_on(folder: Path) -> Iterator[tuple[str, str]]:
    """Variables with which pip finds its index in another Debian; files that they name are copied into `folder`."""
    yield from ((name, value) for name, value in os.environ.items() if _PASSED_ON.match(name))
    named = {
        "PIP_CONFIG_FILE": "/etc/pip.conf",
        **{name: os.environ[name] for name in _FILES if name in os.environ},
    }
    for name, file in named.items():
        if Path(file).is_file():
            copy = folder / f"{name}-{Path(file).name}"
            shutil.copy(file, copy)
            yield _FILES[name], str(copy)
