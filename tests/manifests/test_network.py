"""Who may talk to whom, by all policies together. No network plugin of the tests' enforces them."""

import pytest

from tests.manifests.rendered import BASE, KNOWS_COMPONENTS, OVERLAYS, Json, container, of, pods, rendered

API_SERVER = {"443/TCP", "6443/TCP", "8443/TCP", "16443/TCP"}
NAMES = {"53/UDP", "53/TCP"}
CEPH = {"3300/TCP", "6789/TCP", "6800-7568/TCP"}


def allowed(objects: list[Json], deployment: str, direction: str) -> set[str]:
    """Ports, from or to anybody unless it says whom; `nothing is denied` when no policy is for this direction."""
    labels = pods(objects)[deployment]["metadata"]["labels"]
    found, denied = set(), False
    for policy in of(objects, "NetworkPolicy"):
        spec = policy["spec"]
        if (
            direction not in spec["policyTypes"]
            or not spec["podSelector"].get("matchLabels", {}).items() <= labels.items()
        ):
            continue
        denied = True
        for rule in spec.get(direction.lower(), []):
            peers = rule.get("from", rule.get("to", []))
            whom = "".join(f" {peer['podSelector']['matchLabels']}" for peer in peers)
            found |= {f"{_port(port)}{whom}" for port in rule["ports"]} if "ports" in rule else {f"all{whom}"}
    return found if denied else {"nothing is denied"}


def _port(port: Json) -> str:
    number = f"{port['port']}-{port['endPort']}" if "endPort" in port else port["port"]
    return f"{number}/{port['protocol']}"


def test_network_allows_what_each_process_needs() -> None:
    objects = rendered(BASE)
    served = {name: allowed(objects, name, "Ingress") for name in pods(objects)}
    assert served == {
        "sutler-webhook": {"https/TCP"},
        "sutler-api": {"https/TCP"},
        "sutler-secrets": set(),
        "sutler-volumes": set(),
    }
    for name in ("sutler-webhook", "sutler-secrets"):
        assert allowed(objects, name, "Egress") == API_SERVER | NAMES
    for name in ("sutler-volumes", "sutler-api"):
        assert allowed(objects, name, "Egress") == API_SERVER | NAMES | {"all"}


@KNOWS_COMPONENTS
def test_the_tokens_process_alone_of_those_without_ceph_reaches_the_internet() -> None:
    objects = rendered(OVERLAYS["tokens"])
    assert allowed(objects, "sutler-tokens", "Egress") == API_SERVER | NAMES | {"all"}
    assert allowed(objects, "sutler-tokens", "Ingress") == set()
    for name in ("sutler-webhook", "sutler-secrets"):
        assert allowed(objects, name, "Egress") == API_SERVER | NAMES


@KNOWS_COMPONENTS
def test_only_ceph_ports_are_allowed_where_policies_have_ranges() -> None:
    objects = rendered(OVERLAYS["modern"])
    for name in ("sutler-volumes", "sutler-api"):
        assert allowed(objects, name, "Egress") == API_SERVER | NAMES | CEPH


@KNOWS_COMPONENTS
def test_only_prometheus_can_read_metrics() -> None:
    objects = rendered(OVERLAYS["prometheus"])
    for name in pods(objects):
        probes = {each for each in allowed(objects, name, "Ingress") if each.startswith("probes/")}
        assert probes == {"probes/TCP {'app.kubernetes.io/name': 'prometheus'}"}


@KNOWS_COMPONENTS
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_foreign_pod_can_connect_nowhere_from_the_namespace(overlay: str) -> None:
    objects = rendered(OVERLAYS[overlay])
    stranger = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {"metadata": {"labels": {}}}}}
    for direction in ("Ingress", "Egress"):
        assert allowed([*objects, stranger], "x", direction) == set()


def test_every_port_of_a_policy_is_one_of_the_pods() -> None:
    objects = rendered(BASE)
    for name, pod in pods(objects).items():
        ports = {f"{port['name']}/TCP" for port in container(pod)["ports"]}
        assert allowed(objects, name, "Ingress") <= ports
