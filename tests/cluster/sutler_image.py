"""Sutler's image without a container builder: this machine's Python and an environment that the wheel is installed in.

It stands in for the Dockerfile's image where nothing can be built or pulled: same wheel, interpreter, packages and
commands. It is put together from installed files, so it shows that the manifests work, not that the Dockerfile does.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.cluster import images
from tests.cluster.environment import Environment

NAME = "docker.io/library/sutler:latest"  # what the manifests call "sutler"
_HOME = Path("opt/sutler")
_COMMAND = ["python3", "-m", "webhook"]
# The last one is what one links programs with, a seventh of all the bytes.
_NOT_RUN = {"test", "tests", "idlelib", "lib2to3", "tkinter", "ensurepip", Path(sysconfig.get_config_var("LIBPL")).name}


def write_sutler_image(archive: Path, name: str = NAME, environment: Environment | None = None) -> Path:
    """Write the image as a docker-archive, for Node's `archives`; without an environment, one is made for it."""
    if environment is None:
        with tempfile.TemporaryDirectory() as folder:
            return write_sutler_image(archive, name, Environment.built(Path(folder)))
    interpreter = Path(sys.executable).resolve()
    files: dict[str, images.Content] = {
        _inside(interpreter): interpreter,
        f"{_HOME}/bin/python3": images.Link(str(interpreter)),
        f"{_HOME}/pyvenv.cfg": f"home = {interpreter.parent}\ninclude-system-site-packages = false\n",
    }
    files |= {_inside(file): file for file in _tree(Path(sysconfig.get_path("stdlib")))}
    packages = {str(_HOME / file.relative_to(environment.folder)): file for file in _tree(environment.site_packages)}
    binaries = [file for file in packages.values() if ".so" in file.suffixes]
    files |= {_inside(library): library.resolve() for library in _libraries([interpreter, *binaries])}
    files |= packages
    files |= _commands(environment)
    path = f"/{_HOME}/bin:/bin"
    return images.write_image(archive, name, command=_COMMAND, path=path, user="65532:65532", files=files)


def _commands(environment: Environment) -> dict[str, images.Content]:
    """Those of the wheel, which name the interpreter that they run with."""
    here, there = str(environment.folder), f"/{_HOME}"
    return {
        f"{_HOME}/bin/{file.name}": images.Script(file.read_text().replace(here, there))
        for file in (environment.sutler, environment.sutler.with_name("kubectl-sutler"))
    }


def _tree(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in _NOT_RUN:
            yield from _tree(path)
        elif path.is_file():
            yield path


def _libraries(binaries: Iterable[Path]) -> set[Path]:
    """What the dynamic linker loads for them, at the paths where it looks; not what packages bring along."""
    ran = subprocess.run(["ldd", *binaries], capture_output=True, text=True, timeout=120, check=False)
    listed = re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", ran.stdout, flags=re.MULTILINE)
    return {Path(one) for one in listed if "site-packages" not in Path(one).parts}


def _inside(file: Path) -> str:
    return str(file).lstrip("/")
