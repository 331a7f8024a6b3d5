"""The objects of the manifests, each with what it depends on in the chart."""

import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.chart.tree import Map, negated, parse, switch
from tests.conftest import REPOSITORY

Json = dict[str, Any]
Place = tuple[str, str, str]

MANIFESTS = REPOSITORY / "manifests"
COMPONENT = "app.kubernetes.io/component"
CERT_MANAGER = 'eq .Values.certificates.source "cert-manager"'
IMAGE = {"name": "sutler", "newName": "sutler", "newTag": "latest"}


@dataclass(frozen=True)
class Switch:
    """A component of the manifests, and the values that switch it on."""

    component: str
    condition: str
    over: tuple[str, ...] = ()
    """Components that it contains: it is switched where these are."""


SWITCHES = (
    Switch("disruption-budgets", "or .Values.podDisruptionBudget.enabled .Values.modern.enabled"),
    Switch("modern", ".Values.modern.enabled", over=("disruption-budgets",)),
    Switch("cert-manager", CERT_MANAGER),
    Switch("prometheus", ".Values.prometheus.enabled"),
    Switch("csi", ".Values.csi.enabled"),
    Switch("in-tree", ".Values.inTree.enabled"),
    Switch("copies-on-demand", ".Values.secrets.copiesOnDemand"),
    Switch("tokens", ".Values.tokens.enabled"),
)
PROCESSES = ("webhook", "secrets", "volumes", "api", "tokens")
NO_SWITCH = ("pull-secrets-only", "volumes-only")
"""Components that only remove processes. Each process has a switch of its own."""
_DOWN = re.compile(r'absent\(up\{.*component="(\w+)"')


@dataclass
class ChartObject:
    tree: Map
    place: Place
    file: str
    """Name of its template."""
    source: str
    """Path of the manifest, from the root of the repository."""
    conditions: list[str] = field(default_factory=list)


def place(one: Json) -> Place:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def objects() -> list[ChartObject]:
    """All objects, of all components, in the order of the manifests."""
    found = [_from(one, path, path.stem) for path in _listed(MANIFESTS / "base") for one in _documents(path)]
    _check({one.place for one in found}, {place(one) for one in kustomized()})
    for each in SWITCHES:
        found += _switched(found, each)
    for one in found:
        labels = one.tree["metadata"]["labels"]
        process = next((each.value for each in labels.fields if each.key == COMPONENT), "")
        if process in PROCESSES:
            one.conditions.insert(0, f".Values.{process}.enabled")
        if one.place[0] == "PrometheusRule":
            _switch_alerts(one.tree)
    crds = sorted((MANIFESTS / "crds").glob("*.yaml"))
    found += [_from(one, path, f"crd-{path.stem}") for path in crds for one in _documents(path)]
    return found


def _switched(known: list[ChartObject], each: Switch) -> list[ChartObject]:
    """Switch what the component changes, and return what it adds."""
    before = {place(one): one for one in kustomized(*each.over)}
    after = {place(one): one for one in kustomized(each.component)}
    for one in known:
        old = before.get(one.place)
        if old is None:
            continue
        new = after.get(one.place)
        if new is None:
            one.conditions.append(negated(each.condition))
        elif new != old:
            switch(one.tree, new, each.condition)
    folder = MANIFESTS / "components" / each.component
    sources = {place(one): (path, one) for path in _listed(folder) for one in _documents(path)}
    added = []
    for where in [*sources, *(one for one in after if one not in sources)]:
        if where in after and where not in before:
            path, document = sources.get(where, (folder / "dashboard.json", after[where]))
            added.append(_from(document, path, f"{each.component}-{path.stem}", each.condition))
    return added


def _switch_alerts(rule: Map) -> None:
    """An alert about a process that is down is there with the process."""
    for group in rule["spec"]["groups"].items:
        for alert in group.value["rules"].items:
            if down := _DOWN.match(alert.value["expr"]):
                alert.conditions.append(f".Values.{down[1]}.enabled")


def _from(one: Json, path: Path, file: str, condition: str = "") -> ChartObject:
    if one["kind"] == "Deployment":
        (container,) = one["spec"]["template"]["spec"]["containers"]
        container["image"] = f"{IMAGE['newName']}:{IMAGE['newTag']}"
    tree = parse(one)
    assert isinstance(tree, Map)
    source = str(path.relative_to(REPOSITORY))
    return ChartObject(tree, place(one), f"{file}.yaml", source, [condition] if condition else [])


def _listed(folder: Path) -> list[Path]:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("resources", [])
    return [folder / name for name in listed if name.endswith(".yaml")]


def _documents(path: Path) -> list[Json]:
    return load_all(path.read_text())


def load_all(text: str) -> list[Json]:
    """The documents of YAML that are not empty, read by the parser in C: many times as fast."""
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


def _check(ours: set[Place], theirs: set[Place]) -> None:
    if ours != theirs:
        raise ValueError(f"the files of manifests/base and what kustomize makes of them differ: {ours ^ theirs}")


@cache
def kustomized(*components: str) -> list[Json]:
    """The base with components, as kubectl's own kustomize renders them."""
    with tempfile.TemporaryDirectory() as folder:
        up = Path(*[".."] * (len(Path(folder).resolve().parts) - 1))
        paths = [MANIFESTS / "components" / name for name in components]
        kinds = {path: yaml.safe_load((path / "kustomization.yaml").read_text())["kind"] for path in paths}
        lists = {
            "resources": [MANIFESTS / "base", *(path for path in paths if kinds[path] == "Kustomization")],
            "components": [path for path in paths if kinds[path] == "Component"],
        }
        relative = {key: [str(up / one.relative_to("/")) for one in each] for key, each in lists.items()}
        head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "images": [IMAGE]}
        return _kustomize(Path(folder), head | relative)


def _kustomize(folder: Path, kustomization: Json) -> list[Json]:
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    ran = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode != 0:
        raise ValueError(ran.stderr)
    return load_all(ran.stdout)


def by_file(found: Iterable[ChartObject]) -> dict[str, list[ChartObject]]:
    files: dict[str, list[ChartObject]] = {}
    for one in found:
        files.setdefault(one.file, []).append(one)
    return files
