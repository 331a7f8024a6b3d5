"""What readers of the guides follow and copy: links, paths, parameters, an overlay, a Prometheus configuration."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from provisioner.volumes.planning.class_annotations import MUTABLE
from provisioner.volumes.planning.known_parameters import SERVED
from tests.conftest import REPOSITORY
from tests.manifests.helm import render
from tests.manifests.references import dangling
from tests.manifests.rendered import KNOWS_COMPONENTS, MANIFESTS, container, pods, rendered
from tests.manifests.restricted import violations

DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"
GUIDES = [README, CONTRIBUTING, REPOSITORY / "SECURITY.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
LONGEST_README = 200
_PATH = re.compile(r"`((?:webhook|certs|provisioner|sutler|manifests|docs|tests)/[\w./-]*)`")
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(document: Path) -> set[str]:
    """As GitHub and others make them of headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(guide: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / guide).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_link_has_a_target(guide: Path) -> None:
    for path, anchor in _LINK.findall(_CODE.sub("", guide.read_text())):
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_guide_is_found_from_the_readme() -> None:
    linked = {path for path, _ in _LINK.findall(README.read_text())}
    assert {f"docs/{guide.name}" for guide in DOCS.glob("*.md")} <= linked
    assert "docs/registries/README.md" in linked
    beside = {path for path, _ in _LINK.findall((DOCS / "registries" / "README.md").read_text())}
    assert {guide.name for guide in (DOCS / "registries").glob("*.md")} - {"README.md"} <= beside


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST_README


@pytest.mark.parametrize("guide", [CONTRIBUTING, DOCS / "architecture.md"], ids=lambda path: path.name)
def test_path_in_a_map_exists(guide: Path) -> None:
    paths = _PATH.findall(guide.read_text())
    assert len(paths) > 5
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_guide_lists_every_parameter_of_a_class_and_those_that_can_be_annotations() -> None:
    chapter = (DOCS / "volumes.md").read_text().partition("## For storage teams")[2].partition("\n## ")[0]
    table, _, below = chapter.partition("Parameters of a class can't be changed.")
    assert sorted(name for name in SERVED if f"`{name}`" not in table) == []
    annotations = re.findall(r"`(\w+)`", below.partition(" can also be set")[0])
    assert annotations == list(MUTABLE)


@KNOWS_COMPONENTS
def test_the_overlay_of_the_guide_can_be_rendered(tmp_path: Path) -> None:
    text, _, _ = blocks("install.md", "yaml")
    (tmp_path / "kustomization.yaml").write_text(text.replace("sutler/manifests/", f"{from_here(tmp_path)}/"))
    objects = rendered(tmp_path)
    assert dangling(objects) == []
    assert {container(pod)["image"] for pod in pods(objects).values()} == {"registry.example.com/public/sutler:0.1.0"}


@KNOWS_COMPONENTS
def test_the_guides_patch_for_several_ceph_clusters_gives_each_its_folder(tmp_path: Path) -> None:
    _, _, patch = blocks("install.md", "yaml")
    (tmp_path / "clusters.yaml").write_text(patch)
    own = {"resources": [f"{from_here(tmp_path)}/base"], "patches": [{"path": "clusters.yaml"}]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    pod = pods(rendered(tmp_path))["sutler-volumes"]
    assert violations(pod) == []
    folder = {one["name"]: one["value"] for one in container(pod)["env"]}["SUTLER_CEPH_CLUSTERS"]
    mounts = {one["name"]: one["mountPath"] for one in container(pod)["volumeMounts"]}
    assert mounts == {"ceph": "/etc/ceph", "east": f"{folder}/east"}
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == mounts.keys()


@KNOWS_COMPONENTS
def test_the_guides_values_are_those_of_the_chart() -> None:
    _, text, _ = blocks("install.md", "yaml")
    found = render(yaml.safe_load(text))
    assert ("PrometheusRule", "sutler-system", "sutler") in found
    images = {container(pod)["image"] for pod in pods(list(found.values())).values()}
    assert images == {"registry.example.com/public/sutler:0.1.0"}


def from_here(folder: Path) -> str:
    """The manifests; kustomize takes relative paths only."""
    return "../" * (len(folder.resolve().parts) - 1) + str(MANIFESTS.relative_to("/"))


def test_prometheus_takes_the_configuration_of_the_guide(tmp_path: Path) -> None:
    """But for how it finds Pods, which the distribution's Prometheus is built without."""
    config = yaml.safe_load("".join(blocks("monitoring.md", "yaml")))
    assert [found.pop("kubernetes_sd_configs")[0]["role"] for found in config["scrape_configs"]] == ["pod"]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = ["promtool", "check", "config", "--syntax-only", "prometheus.yaml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
