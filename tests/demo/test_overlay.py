"""The overlay that the demo installs Sutler with."""

from tests.conftest import REPOSITORY
from tests.demo.lab import PUBLIC, SUTLER_VERSION
from tests.manifests.rendered import BASE, KNOWS_COMPONENTS, container, named, place, pods, rendered

OVERLAY = REPOSITORY / "tests" / "demo" / "overlay"

pytestmark = KNOWS_COMPONENTS


def test_overlay_changes_deployments_and_what_the_namespace_allows_alone() -> None:
    base, overlay = ({place(one): one for one in rendered(folder)} for folder in (BASE, OVERLAY))
    assert base.keys() == overlay.keys()
    changed = {where for where, one in overlay.items() if one != base[where]}
    assert {kind for kind, _, _ in changed} == {"Deployment", "Namespace"}


def test_every_pod_has_the_image_that_the_demo_pushes() -> None:
    assert {container(pod)["image"] for pod in pods(rendered(OVERLAY)).values()} == {
        f"{PUBLIC}/sutler:{SUTLER_VERSION}"
    }


def test_processes_on_the_node_s_network_have_ports_of_their_own() -> None:
    objects = rendered(OVERLAY)
    there = [pod for pod in pods(objects).values() if pod["spec"].get("hostNetwork")]
    ports = [port["containerPort"] for pod in there for port in container(pod)["ports"]]
    assert len(there) == 2
    assert len(ports) == len(set(ports))
    api = container(named(objects, "Deployment", "sutler-api")["spec"]["template"])
    given = {one["name"]: one["value"] for one in api["env"]}
    assert int(given["SUTLER_PROBE_PORT"]) in ports, "what it listens on is what the probes ask"
