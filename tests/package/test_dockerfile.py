"""The Dockerfile's own steps, run where there is no Docker, and what they make."""

import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Ceph, Place, debian, dockerfile
from tests.cluster.environment import PACKAGES
from tests.conftest import REPOSITORY

READS_NEW_SECRETS = (20, 2, 4)
CREATES = """
import asyncio
from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from provisioner.ceph.model import ImageSpec

async def main():
    cluster = CephCluster(ClusterSettings(conf={conf!r}, user="sutler"))
    await cluster.pool({pool!r}).create(ImageSpec("one", 1 << 20), owner="test", fence=lambda: None)
    await cluster.close()

asyncio.run(main())
print("made")
"""


def test_it_copies_every_package_and_all_that_the_build_reads() -> None:
    steps = [rest for stage in dockerfile.stages() for name, rest in stage if name == "COPY" and "--from" not in rest]
    copied = {word for rest in steps for word in rest.split()[:-1]}
    assert copied == {*PACKAGES, "LICENSE", "pyproject.toml", "README.md", "constraints.txt"}
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == copied, "what is not sent to the builder can't be copied there"


def test_container_runs_as_an_unprivileged_user_and_the_manifests_command_works() -> None:
    last = dict(dockerfile.stages()[-1])
    assert last["USER"] == "65532:65532"
    assert last["ENV"].startswith("PATH=/opt/sutler/bin:")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_changed_source_file_changes_the_last_layer_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layers(dockerfile.write_archive(tmp_path / "before.tar"))
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("Dockerfile", "LICENSE", "README.md", "constraints.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tree)
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, tree / name)
    monkeypatch.setattr(dockerfile, "REPOSITORY", tree)
    assert layers(dockerfile.write_archive(tmp_path / "same.tar")) == before
    with (tree / "sutler" / "__init__.py").open("a") as source:
        source.write("# changed\n")
    after = layers(dockerfile.write_archive(tmp_path / "after.tar"))
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    unpacked = dockerfile.unpack(tmp_path_factory.mktemp("image") / "root")
    yield unpacked
    shutil.rmtree(unpacked)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_its_steps_make_an_environment_without_anything_of_development(root: Path) -> None:
    """In a Debian of its base, with that Debian's own packages."""
    packages = {path.name.partition("-")[0] for path in (root / "opt/sutler").rglob("*.dist-info")}
    assert {"sutler", "aiohttp", "uvloop"} <= packages
    assert packages & {"pip", "setuptools", "pytest", "mypy", "ruff", "schemathesis", "hypothesis"} == set()
    said = inside(root, "import rados, rbd, sutler; from provisioner.api import main; print(sutler.__file__)")
    assert said.startswith("/opt/sutler/lib/python3.")
    installed = (root / "var/lib/dpkg/status").read_text()
    (found,) = re.findall(r"^Package: librados2$.*?^Version: (\d+)\.(\d+)\.(\d+)", installed, re.MULTILINE | re.DOTALL)
    assert tuple(map(int, found)) >= READS_NEW_SECRETS


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_image_works_with_a_ceph_that_accepts_new_secrets_alone(root: Path, place: Place, tmp_path: Path) -> None:
    ceph = Ceph(tmp_path / "ceph", place, release="20", cipher="aes256k")
    ceph.start()
    try:
        pool = ceph.pool("images")
        conf = ceph.client_conf(tmp_path / "user", {"sutler": {"mon": "profile rbd", "osd": "profile rbd"}})
        said = inside(root, CREATES.format(conf=str(conf), pool=pool))
        assert said == "made\n"
        assert ceph.rbd_program("ls", pool).split() == ["one"]
    finally:
        ceph.stop()


def layers(archive: Path) -> list[str]:
    """Their digests, the lowest first."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> Any:
            member = tar.extractfile(name)
            assert member is not None, name
            return json.load(member)

        (image,) = read("index.json")["manifests"]
        return [layer["digest"] for layer in read(f"blobs/{image['digest'].replace(':', '/')}")["layers"]]


def inside(root: Path, code: str) -> str:
    """What Python prints of it in the image."""
    command = debian.entered(root, ["/opt/sutler/bin/python3", "-c", code], [])
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
