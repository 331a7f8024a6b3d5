"""The chart, as helm itself renders it."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from tests.chart.objects import load_all
from tests.cluster import go
from tests.manifests.rendered import MANIFESTS, Json, place

CHART = MANIFESTS / "chart"
NAMESPACE = "sutler-system"
HELMS = {"4": "helm", "3": "helm-3"}
"""Folder of tests/testbed by helm's major version."""
_SOURCE = re.compile(r"^# Source: all/charts/(\w+)/\S+\n", re.MULTILINE)
Objects = dict[tuple[str, str, str], Json]


@cache
def program(version: str = "4") -> str:
    return str(go.Testbed(HELMS[version]).ensured() / "helm")


def helm(
    *arguments: str, version: str = "4", values: Json | None = None, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What helm said. `values` are those of a values file."""
    more = (["--values=-"] if values is not None else []) + ([f"--kubeconfig={kubeconfig}"] if kubeconfig else [])
    command = [program(version), *arguments, *more]
    text = yaml.safe_dump(values) if values is not None else None
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)


class Release:
    """The release `sutler` in a cluster."""

    def __init__(self, kubeconfig: Path, version: str = "4") -> None:
        self._kubeconfig = kubeconfig
        self.version = version

    def install(self, *options: str, values: Json | None = None) -> str:
        return self._run("install", str(CHART), "--create-namespace", *options, values=values or {})

    def upgrade(self, *options: str, values: Json | None = None) -> str:
        return self._run("upgrade", str(CHART), *options, values=values or {})

    def test(self) -> str:
        return self._run("test", "--logs")

    def uninstall(self) -> str:
        return self._run("uninstall", "--wait")

    def _run(self, command: str, *arguments: str, values: Json | None = None) -> str:
        given = [command, "sutler", *arguments, f"--namespace={NAMESPACE}"]
        ran = helm(*given, version=self.version, values=values, kubeconfig=self._kubeconfig)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr


def render(values: Json | None = None, *options: str, version: str = "4", namespace: str = NAMESPACE) -> Objects:
    """The objects that a release with these values has, by their places."""
    template = ["template", "sutler", str(CHART), f"--namespace={namespace}", *options]
    ran = helm(*template, version=version, values=values or {})
    assert ran.returncode == 0, ran.stderr
    return by_place(ran.stdout)


def refusal(values: Json, *options: str) -> str:
    """What helm says of values that it does not take."""
    ran = helm("template", "sutler", str(CHART), *options, values=values)
    assert ran.returncode != 0
    return ran.stderr


def render_each(values: Mapping[str, Json]) -> dict[str, Objects]:
    """The same for many values, by their names, in one process: as parts of one chart that contains all of them."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(CHART, Path(folder, "charts", "sutler"))
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        names = {f"c{number}": name for number, name in enumerate(values)}
        parts = [{"name": "sutler", "version": version, "alias": alias} for alias in names]
        chart = {"apiVersion": "v2", "name": "all", "version": "0.0.0", "dependencies": parts}
        Path(folder, "Chart.yaml").write_text(yaml.safe_dump(chart))
        given = {alias: {"crds": {"enabled": False}, **values[name]} for alias, name in names.items()}
        ran = helm("template", "sutler", folder, f"--namespace={NAMESPACE}", "--skip-tests", values=given)
        assert ran.returncode == 0, ran.stderr
    texts: dict[str, list[str]] = {name: [] for name in values}
    found = _SOURCE.split(ran.stdout)
    for alias, text in zip(found[1::2], found[2::2], strict=True):
        texts[names[alias]].append(text)
    return {name: by_place("---\n".join(each)) for name, each in texts.items()}


def by_place(text: str) -> Objects:
    found = load_all(text)
    result = {place(one): one for one in found}
    assert len(result) == len(found), "two objects have one name"
    return result
