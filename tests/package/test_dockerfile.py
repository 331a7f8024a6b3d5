"""The Dockerfile's own steps, run where there is no Docker, and what they make."""

import json
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Ceph, ControlPlane, Place, debian, dockerfile, probe
from tests.cluster.environment import PACKAGES
from tests.cluster.process import Process
from tests.conftest import REPOSITORY

READS_NEW_SECRETS = (20, 2, 4)
PARTS = ("secrets", "volumes", "api", "tokens")
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


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_image_has_nothing_that_builds_or_installs_and_lists_what_it_has(root: Path) -> None:
    programs = {
        path.name for folder in ("bin", "sbin", "usr/bin", "opt/sutler/bin") for path in (root / folder).glob("*")
    }
    assert programs & {"cc", "gcc", "g++", "ld", "make", "pip", "pip3", "git", "curl", "wget", "systemctl"} == set()
    assert list(root.rglob("ensurepip")) == []
    bill = json.loads(as_stranger(root, "import runpy; runpy.run_module('sutler.sbom', run_name='__main__')"))
    listed = {each["name"] for each in bill["components"]}
    installed = re.findall(
        r"^Package: (\S+)\nStatus: install ok installed", (root / "var/lib/dpkg/status").read_text(), re.MULTILINE
    )
    assert set(installed) <= listed
    assert {"librbd1", "python3-rados", "aiohttp", "cryptography", "uvloop"} <= listed
    assert listed & {"systemd", "pip", "setuptools", "pytest"} == set()
    assert (root / "etc/os-release").exists()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "command",
    ["python3 -m webhook --help", *(f"python3 -m provisioner {each} --help" for each in PARTS), "sutler --version"],
)
def test_any_user_starts_it_on_a_read_only_file_system(root: Path, command: str) -> None:
    """As a namespace of OpenShift assigns users, with no capability and no way to more privileges."""
    started = subprocess.run(stranger(root, command.split()), capture_output=True, text=True, timeout=120, check=False)
    assert (started.returncode, started.stderr) == (0, "")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_process_of_the_image_serves_as_any_user(
    root: Path, control_plane: ControlPlane, crds: None, place: Place
) -> None:
    """The webhook, as the manifests run it: no file is written, and it becomes ready."""
    del crds
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(OWN_NAMESPACE))
    ports = place.ports(2)
    kubeconfig = control_plane.state / "for-all.kubeconfig"
    # Data in a kubeconfig would need a temporary file, and the image has no place for one.
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {
        "server": control_plane.url,
        "certificate-authority": str(control_plane.state / "pki" / "ca.crt"),
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    kubeconfig.chmod(0o644)
    for folder in (control_plane.state, control_plane.state / "pki", *control_plane.state.parents[:3]):
        folder.chmod(0o755)
    command = ["python3", "-m", "webhook", "--kubeconfig", str(kubeconfig), "--port", str(ports[0])]
    command += ["--probe-port", str(ports[1]), "--probe-host", "127.0.0.1", "--host", "127.0.0.1"]
    log = control_plane.state / "image-webhook.log"
    process = Process.started(stranger(root, command), place=place, log=log, env={})
    try:
        process.until(lambda: probe.get(f"http://127.0.0.1:{ports[1]}/readyz")[0] == 200, "the webhook to be ready")
    finally:
        process.stop()


OWN_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sutler-system"}}
STRANGER = "1000680000"


def stranger(root: Path, command: Sequence[str]) -> list[str]:
    """The command in the image as `restricted` runs it: an assigned user, no capability, nothing to write to."""
    privileges = ["--reuid", STRANGER, "--regid", "0", "--clear-groups", "--no-new-privs", "--bounding-set", "-all"]
    set_by_image = dict(dockerfile.stages()[-1])["ENV"].replace("$PATH", "/usr/bin:/bin").split()
    run = shlex.join(["setpriv", *privileges, "env", "-i", *set_by_image, *command])
    return debian.entered(root, ["/bin/sh", "-ec", f"mount -o remount,bind,ro / && exec {run}"], [])


def as_stranger(root: Path, code: str) -> str:
    command = stranger(root, ["python3", "-c", code])
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


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
