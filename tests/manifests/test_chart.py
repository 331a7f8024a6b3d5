"""The Helm chart equals the manifests that it is generated from, whatever is switched on."""

import tomllib
from itertools import product

import pytest
import yaml

from tests.chart.files import stale
from tests.chart.objects import kustomized, load_all
from tests.conftest import REPOSITORY
from tests.manifests.helm import CHART, Objects, helm, render, render_each
from tests.manifests.references import dangling
from tests.manifests.rendered import KNOWS_COMPONENTS, MANIFESTS, OVERLAYS, Json, pods, rendered
from tests.manifests.restricted import violations

pytestmark = KNOWS_COMPONENTS

LABEL = "app.kubernetes.io/component"
OLD = pytest.param("3", marks=pytest.mark.long)
SWITCHED: dict[str, Json] = {
    "cert-manager": {"certificates": {"source": "cert-manager"}},
    "copies-on-demand": {"secrets": {"copiesOnDemand": True}},
    "csi": {"csi": {"enabled": True}},
    "in-tree": {"inTree": {"enabled": True}},
    "modern": {"modern": {"enabled": True}},
    "prometheus": {"prometheus": {"enabled": True}},
    "pull-secrets-only": {"volumes": {"enabled": False}, "api": {"enabled": False}},
    "tokens": {"tokens": {"enabled": True}},
    "volumes-only": {"webhook": {"enabled": False}, "secrets": {"enabled": False}},
}
"""Values by the overlay that they equal."""
PROCESSES = ("webhook", "secrets", "volumes", "api", "tokens")
SWITCHES = ("cert-manager", "copies-on-demand", "modern", "prometheus", "disruption-budgets")
CLASSES = ("", "csi", "in-tree")
Combination = tuple[bool, ...]


def test_generated_files_are_those_of_the_manifests() -> None:
    assert stale() == [], "stale: run make chart to write manifests/chart again"


def test_chart_has_the_version_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (project["version"], project["version"])


@pytest.mark.parametrize("version", ["4", OLD])
def test_helm_lint_finds_nothing(version: str) -> None:
    ran = helm("lint", "--strict", str(CHART), version=version)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[WARNING]" not in ran.stdout


@pytest.mark.parametrize("version", ["4", OLD])
def test_defaults_equal_the_base(version: str) -> None:
    """With the namespace, and with the CRDs, which helm keeps."""
    crds = [one for path in (MANIFESTS / "crds").glob("*.yaml") for one in load_all(path.read_text())]
    wanted = {**_by_place(crds), **_by_place(kustomized())}
    found = render({"createNamespace": True}, "--skip-tests", version=version)
    kept = {where for where, one in found.items() if one["metadata"].pop("annotations", {}) == KEPT}
    assert found == wanted
    assert {kind for kind, _, _ in kept} == {"Namespace", "CustomResourceDefinition"}
    del wanted["Namespace", "", "sutler-system"]
    without = render(None, "--skip-tests", version=version)
    assert without.keys() == wanted.keys()


KEPT = {"helm.sh/resource-policy": "keep"}


def test_each_switch_equals_the_overlay_of_its_name() -> None:
    assert SWITCHED.keys() == OVERLAYS.keys()
    for overlay, found in render_each(
        {name: {"createNamespace": True, **one} for name, one in SWITCHED.items()}
    ).items():
        found["Namespace", "", "sutler-system"]["metadata"].pop("annotations")
        assert found == _by_place(rendered(OVERLAYS[overlay])), overlay


def _by_place(objects: list[Json]) -> Objects:
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}


def few() -> list[Combination]:
    """Sixteen combinations with all pairs of any two switches: an orthogonal array."""
    masks = range(1, len(PROCESSES) + len(SWITCHES) + 3)
    return [tuple((row & mask).bit_count() % 2 == 1 for mask in masks) for row in range(16)]


def every() -> list[Combination]:
    return list(product([False, True], repeat=len(PROCESSES) + len(SWITCHES) + 2))


@pytest.mark.parametrize(
    "combinations",
    [few(), pytest.param(every(), marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
    ids=["few", "every"],
)
def test_combination_equals_what_kustomize_makes_of_it(combinations: list[Combination]) -> None:
    chosen = {_text(one): one for one in combinations}
    names = list(chosen)
    for first in range(0, len(names), 128):
        part = {name: _values(chosen[name]) for name in names[first : first + 128]}
        for name, found in render_each(part).items():
            assert found == _expected(chosen[name]), name


def _chosen(one: Combination) -> tuple[dict[str, bool], list[str], str]:
    """Processes, components, and the component with the classes."""
    processes = dict(zip(PROCESSES, one, strict=False))
    components = [name for name, on in zip(SWITCHES, one[len(PROCESSES) :], strict=False) if on]
    return processes, components, CLASSES[(one[-2] + 2 * one[-1]) % 3]


def _text(one: Combination) -> str:
    processes, components, classes = _chosen(one)
    return " ".join([*(name for name, on in processes.items() if on), "with", *components, classes, str(one[-2:])])


def _values(one: Combination) -> Json:
    processes, components, classes = _chosen(one)
    values: Json = {name: {"enabled": on} for name, on in processes.items()}
    values["podDisruptionBudget"] = {"enabled": "disruption-budgets" in components}
    for component in [*components, classes]:
        for section, given in SWITCHED.get(component, {}).items():
            values[section] = {**values.get(section, {}), **given}
    return values


def _expected(one: Combination) -> Objects:
    processes, components, classes = _chosen(one)
    contained = "modern" in components and "disruption-budgets" in components
    parts = [name for name in components if not (contained and name == "disruption-budgets")]
    made = kustomized(*sorted([*parts, "tokens", *([classes] if classes else [])]))
    off = {name for name, on in processes.items() if not on}
    wanted = _by_place([each for each in made if each["metadata"]["labels"].get(LABEL) not in off])
    del wanted["Namespace", "", "sutler-system"]
    if rule := wanted.get(("PrometheusRule", "sutler-system", "sutler")):
        missing = {f"Sutler{name.capitalize()}Down" for name in off}
        groups = [
            {**group, "rules": [alert for alert in group["rules"] if alert["alert"] not in missing]}
            for group in rule["spec"]["groups"]
        ]
        wanted["PrometheusRule", "sutler-system", "sutler"] = {**rule, "spec": {**rule["spec"], "groups": groups}}
    return wanted


def test_release_in_another_namespace_names_no_other() -> None:
    everything = {name: {"enabled": True} for name in (*PROCESSES, "csi", "modern", "prometheus")}
    values = {**everything, "certificates": {"source": "cert-manager"}, "createNamespace": True}
    ran = helm("template", "sutler", str(CHART), "--namespace=another", values=values)
    assert ran.returncode == 0, ran.stderr
    assert "sutler-system" not in ran.stdout
    found = load_all(ran.stdout)
    assert {one["metadata"].get("namespace", "another") for one in found} == {"another", "default"}
    assert dangling([one for one in found if one["metadata"]["name"] != "sutler-check-install"]) == []
    assert {name: violations(pod) for name, pod in pods(found).items() if violations(pod)} == {}
