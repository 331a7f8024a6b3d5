"""Sutler's image without a container builder: this machine's Python, what Sutler depends on, and Sutler.

It stands in for the Dockerfile's image where nothing can be built or pulled: same interpreter, same packages, same
commands. It is put together from installed files, so it shows that the manifests work, not that the Dockerfile does.
"""

import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.cluster import images
from tests.cluster.errors import ClusterError

NAME = "docker.io/library/sutler:latest"  # what the manifests call "sutler"
PACKAGES = ("certs", "provisioner", "sutler", "webhook")
_REPOSITORY = Path(__file__).parents[2]
_TARGET = "opt/sutler/lib/python3.11/site-packages"
_NOT_RUN = {"test", "tests", "idlelib", "lib2to3", "tkinter", "ensurepip"}


def write_sutler_image(archive: Path, name: str = NAME) -> Path:
    """Write the image as a docker-archive, for Node's `archives`."""
    interpreter = Path(sys.executable).resolve()
    files: dict[str, images.Content] = {
        _inside(interpreter): interpreter,
        "opt/sutler/bin/python3": images.Link(str(interpreter)),
        "opt/sutler/pyvenv.cfg": f"home = {interpreter.parent}\ninclude-system-site-packages = false\n",
    }
    files |= {_inside(file): file for file in _tree(Path(sysconfig.get_path("stdlib")))}
    files |= dict(_dependencies())
    for package in PACKAGES:
        folder = _REPOSITORY / package
        files |= {f"{_TARGET}/{file.relative_to(_REPOSITORY)}": file for file in _tree(folder)}
    binaries = [file for file in files.values() if isinstance(file, Path) and _is_binary(file)]
    files |= {_inside(library): library.resolve() for library in _libraries([interpreter, *binaries])}
    command, path = ["python3", "-m", "webhook"], "/opt/sutler/bin:/bin"
    return images.write_image(archive, name, command=command, path=path, user="65532:65532", files=files)


def _dependencies() -> Iterator[tuple[str, Path]]:
    """Every file of the packages that Sutler needs at run time, and the two modules of the distribution's."""
    site_packages = Path(sysconfig.get_path("purelib"))
    for distribution in _needed():
        for file in distribution.files or []:
            located = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and located.exists():  # commands lie outside; what Python compiled may be gone
                yield f"{_TARGET}/{file}", located
    for module in ("rados", "rbd"):
        found = next(site_packages.glob(f"{module}.*.so"), None)
        if found is None:
            raise ClusterError(f"{site_packages} has no {module}; apt-get install python3-{module} and make setup")
        yield f"{_TARGET}/{found.name}", found.resolve()


def _needed() -> list[metadata.Distribution]:
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())["project"]
    found: dict[str, metadata.Distribution] = {}
    wanted = [Requirement(text) for text in project["dependencies"]]
    while wanted:
        requirement = wanted.pop()
        key = re.sub(r"[-_.]+", "-", requirement.name).lower()
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and key not in found:
            found[key] = metadata.distribution(requirement.name)
            wanted += [Requirement(text) for text in found[key].requires or []]
    return [found[key] for key in sorted(found)]


def _tree(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in _NOT_RUN:
            yield from _tree(path)
        elif path.is_file():
            yield path


def _libraries(binaries: Iterable[Path]) -> set[Path]:
    """What the dynamic linker loads for them, at the paths where it looks."""
    ran = subprocess.run(["ldd", *binaries], capture_output=True, text=True, timeout=120, check=False)
    listed = re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", ran.stdout, flags=re.MULTILINE)
    site_packages = Path(sysconfig.get_path("purelib"))
    return {Path(one) for one in listed if not Path(one).is_relative_to(site_packages)}


def _is_binary(file: Path) -> bool:
    return ".so" in file.suffixes


def _inside(file: Path) -> str:
    return str(file).lstrip("/")
