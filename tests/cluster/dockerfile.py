"""The image, made by the Dockerfile's own steps in Debians of its base: no container builder needed."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import debian, packages, steps
from tests.cluster.errors import ClusterError

REPOSITORY = Path(__file__).parents[2]
Step = tuple[str, str]
_BASE = re.compile(r"^debian:(\w+)-slim(?: AS (\w+))?$")
# What a builder has from the machine that it is on, so that pip finds its index. Files that they name come as copies.
_PASSED_ON = re.compile(r"^(https?_proxy|no_proxy|PIP_(?!FIND_LINKS|CERT|CONFIG_FILE)\w+)$", re.IGNORECASE)
_FILES = {"PIP_CERT": "PIP_CERT", "PIP_CONFIG_FILE": "PIP_CONFIG_FILE", "SSL_CERT_FILE": "PIP_CERT"}


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


def ensured() -> Path:
    """The root of the image of the working tree as it is; made now when the cache does not have it."""
    folder = packages.cache() / "image"
    root = folder / _digest() / "root"
    if not root.exists():
        with steps.locked(folder, "the image"):
            if not root.exists():
                for other in folder.iterdir():  # of another working tree: a build takes minutes, its result a gigabyte
                    if other.is_dir():
                        shutil.rmtree(other)
                _Build(root).run()
    return root


def _copied() -> list[Path]:
    """The files of the repository that steps copy, in order."""
    sources = [
        rest.split()[:-1] for stage in stages() for word, rest in stage if word == "COPY" and "--from" not in rest
    ]
    found: list[Path] = []
    for name in (one for names in sources for one in names):
        path = REPOSITORY / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [one for one in files if one.is_file() and "__pycache__" not in one.parts]
    return found


def _digest() -> str:
    digest = hashlib.sha256((REPOSITORY / "Dockerfile").read_bytes())
    for file in _copied():
        digest.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


class _Build:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._log = steps.Steps(root.parent.parent / "build.log")
        self._built: dict[str, Path] = {}

    def run(self) -> None:
        self._log.say(f"Making the image once, by the Dockerfile's steps; log: {self._log.log}")
        with (
            tempfile.TemporaryDirectory(prefix="image-") as outside,
            tempfile.TemporaryDirectory(prefix="make-", dir=self._root.parent.parent) as name,
        ):
            self._environment = dict(passed_on(Path(outside)))
            for number, stage in enumerate(stages()):
                last = self._stage(stage, Path(name) / str(number))
            self._root.parent.mkdir()
            last.rename(self._root)
        self._log.say(f"done: {self._root}")

    def _stage(self, stage: list[Step], root: Path) -> Path:
        base = _BASE.match(stage[0][1])
        if base is None:
            raise ClusterError(f"FROM {stage[0][1]} is no Debian: nothing else can be made here")
        # By cp, which copies devices as what they are: read like files, some of them never end.
        original = debian.ensured(f"base-{base[1]}", base[1], ["ca-certificates"])
        self._log.run("copying its base", ["cp", "--archive", str(original), str(root)], cwd=root.parent)
        self._built[base[2] or ""] = root
        workdir, environment = "/", {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        for word, rest in stage[1:]:
            if word == "WORKDIR":
                workdir = rest
                (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif word == "COPY":
                self._copy(rest.split(), root, workdir)
            elif word == "RUN":
                command = ["env", "-i", *(f"{key}={value}" for key, value in (environment | self._environment).items())]
                line = f"cd {workdir} && {rest}"
                entered = debian.entered(root, [*command, "/bin/sh", "-ec", line], [])
                self._log.run(rest.partition(" && ")[0][:100], entered, cwd=root)
            elif word == "ENV":
                for key, value in (one.split("=", 1) for one in rest.split()):
                    environment[key] = value.replace("$PATH", environment["PATH"])
        return root

    def _copy(self, words: list[str], root: Path, workdir: str) -> None:
        source = REPOSITORY
        if words[0].startswith("--from="):
            source = self._built[words.pop(0).removeprefix("--from=")]
        *names, target = words
        to = (
            root / workdir.lstrip("/") / target.lstrip("/") if not target.startswith("/") else root / target.lstrip("/")
        )
        for name in names:
            original = source / name.lstrip("/")
            if original.is_dir():
                ignored = shutil.ignore_patterns("__pycache__") if source == REPOSITORY else None
                shutil.copytree(original, to, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy2(original, to)


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
