"""The wheel, installed in an environment without the sources: all four processes and the command run from it."""

import base64
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Ceph, ControlPlane, Place, wait_for
from tests.cluster.environment import PACKAGES, Environment, build_wheel
from tests.cluster.installation import NAMESPACE, Installation
from tests.conftest import REPOSITORY

PROCESSES = ("webhook", "secrets", "volumes", "api")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment") / "sutler")
    made.install(wheel)
    return made


@pytest.fixture(scope="module")
def installed(
    control_plane: ControlPlane,
    ceph: Ceph,
    place: Place,
    environment: Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    installation = Installation(control_plane, ceph, place, tmp_path_factory.mktemp("sutler"), environment)
    installation.start()
    yield installation
    installation.stop()


def run(environment: Environment, *command: str | Path, **variables: str) -> str:
    """Where no source is near; fails with what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run(
        command,
        cwd=environment.folder,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_wheel_holds_every_file_that_is_run_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if ".dist-info/" not in name}
    untracked = {name for name in packed if not (REPOSITORY / name).exists()}
    assert set(tracked.stdout.split()) - packed == set()
    assert untracked == set()
    assert {name.partition("/")[0] for name in packed} == set(PACKAGES)


def test_modules_come_from_the_wheel_and_only_what_it_names_is_there(environment: Environment) -> None:
    script = f"import {', '.join(PACKAGES)}; print(*(one.__file__ for one in ({', '.join(PACKAGES)})), sep='\\n')"
    files = run(environment, environment.python, "-c", script).splitlines()
    assert files == [f"{environment.site_packages}/{package}/__init__.py" for package in PACKAGES]
    absent = "import importlib.util as u; print([n for n in ('pytest', 'tests', 'ruff', 'mypy') if u.find_spec(n)])"
    assert run(environment, environment.python, "-c", absent).strip() == "[]"


def test_users_of_the_packages_get_their_types(environment: Environment) -> None:
    assert [package for package in PACKAGES if not (environment.site_packages / package / "py.typed").exists()] == []


@pytest.mark.parametrize("command", ["sutler", "kubectl-sutler"])
def test_command_is_installed_under_both_its_names(environment: Environment, command: str) -> None:
    mappings = REPOSITORY / "manifests" / "examples" / "mappings.yaml"
    said = run(environment, environment.folder / "bin" / command, "explain", "quay.io/acme/app", "-f", mappings)
    assert "no mapping matches" in said


@pytest.mark.long  # short: the Pods of tests/node/test_in_cluster.py run what pip installed
def test_all_four_processes_run_from_the_wheel(installed: Installation, environment: Environment) -> None:
    for name in PROCESSES:
        process = getattr(installed, name)
        assert process.ready()
        (executable, *_) = Path(f"/proc/{process.process.pid}/cmdline").read_text().split("\0")
        assert executable == str(environment.python)
        folder = Path(f"/proc/{process.process.pid}/cwd").resolve()
        assert not folder.is_relative_to(REPOSITORY), "the sources would be found before what is installed"


@pytest.mark.long
def test_they_do_their_work(
    installed: Installation, namespace: str, pool: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    control_plane = installed.control_plane
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(objects(namespace, pool)))
    control_plane.kubectl("apply", "-f", str(file))
    # Other tests have the same cluster.
    request.addfinalizer(lambda: control_plane.kubectl("delete", "-f", str(file), "--wait=false"))
    copied = ("get", "secret", "team", "-n", namespace, "--ignore-not-found", "-o", "name")
    wait_for(lambda: control_plane.kubectl(*copied), "the copy of the pull secret")
    bound = ("get", "pvc", "data", "-n", namespace, "-o", "jsonpath={.status.phase}")
    wait_for(lambda: control_plane.kubectl(*bound) == "Bound", "the claim to be Bound")
    control_plane.kubectl("run", "app", "-n", namespace, "--image=quay.io/team/app:1")
    pod = control_plane.kubectl_json("get", "pod", "app", "-n", namespace)
    assert pod["spec"]["imagePullSecrets"] == [{"name": "team"}]


@pytest.mark.long
def test_page_and_command_show_what_was_made(installed: Installation, environment: Environment, pool: str) -> None:
    """The page is a file beside the modules, easily left out of a wheel."""
    access = installed.api_access()
    made = run(environment, environment.sutler, "images", "create", f"{pool}/disk", "1.5Gi", **access)
    assert "1536Mi" in made
    curl = ("curl", "-sSf", "--cacert", access["SUTLER_API_CA"])
    token = f"Authorization: Bearer {access['SUTLER_API_TOKEN']}"
    assert "<title>" in run(environment, *curl, "-H", token, f"{access['SUTLER_API_URL']}/ui")


def objects(namespace: str, pool: str) -> dict[str, object]:
    """A mapping with its source, a class and a claim."""
    auth = {"auths": {"quay.io/team": {"auth": base64.b64encode(b"UserName:Password").decode()}}}
    named = {"name": "data", "namespace": namespace}
    items = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "team-credentials", "namespace": NAMESPACE},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(auth)},
        },
        {
            "apiVersion": "sutler.dev/v1alpha1",
            "kind": "RegistryMapping",
            "metadata": {"name": "team"},
            "spec": {
                "registries": ["quay.io/team"],
                "pullSecret": {"name": "team", "copyFrom": "team-credentials"},
                "namespaceSelector": {},
            },
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": f"of-{pool}"},
            "provisioner": "rbd.sutler.dev",
            "parameters": {"clusterID": "ceph", "pool": pool},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": named,
            "spec": {
                "storageClassName": f"of-{pool}",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}
