"""Each panel of the dashboard answers its question, on a real Prometheus that watches a life with faults."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.client import Api
from tests.cluster import Ceph, ControlPlane, Place, wait_for
from tests.cluster.installation import NAMESPACE, Installation
from tests.installed.life import SOURCE, TEAM, Life
from tests.installed.prometheus import SCRAPE_SECONDS, Prometheus
from tests.manifests.promql_expressions import panels, titles
from tests.system.conftest import ALIYUN, apply, registry_mapping
from tests.tokens.fakes.aws import FakeAws
from tests.tokens.fakes.reviewed import reviewed_by
from tests.tokens.fakes.threaded import running_cloud
from tests.tokens.test_cluster import OBJECTS

Values = dict[str, float]
QUICK = ("--lease-duration", "6", "--renew-deadline", "4", "--retry-period", "1")
YEAR = 365 * 86_400


def some(*labels: str) -> Callable[[Values], bool]:
    """Each of these is above zero."""
    return lambda found: all(found.get(label, 0) > 0 for label in labels)


def within(low: float, high: float) -> Callable[[Values], bool]:
    return lambda found: bool(found) and all(low <= value <= high for value in found.values())


SHOWN: dict[str, Callable[[Values], bool]] = {
    "How many replicas of each process run? A": {
        "webhook": 1,
        "secrets": 1,
        "volumes": 1,
        "api": 0,
        "tokens": 1,
    }.__eq__,
    "Does each controller have exactly one leader? A": {
        "sutler-secrets": 1,
        "sutler-volumes": 1,
        "sutler-tokens": 1,
    }.__eq__,
    "When do the certificates end? A": lambda found: found.keys() >= {"webhook"} and within(86_400, 11 * YEAR)(found),
    "Are all mappings usable? A": some("true", "false"),
    "What does the webhook do to new Pods? A": some("injected"),
    "How long do new Pods wait for the webhook? A": within(0, 3),
    "How long do new Pods wait for the webhook? B": within(0, 3),
    "How long do new Pods wait for the webhook? C": within(0, 3),
    "Which mappings are used? A": some("aliyun"),
    "Are copies of pull Secrets being written? A": some("create", "patch", "delete"),
    "Does work queue up? A": within(0, 50),
    "What has to be tried again? A": lambda found: any(value > 0 for value in found.values()),
    "When do the tokens of cloud registries end? A": within(60, 86_400),
    "Do refreshes of tokens succeed? A": some("ecr success"),
    "Do claims get their volumes? A": some("rbd"),
    "Do claims get their volumes? B": some("nowhere"),
    "How long do claims wait for their volumes? A": lambda found: found.keys() >= {"rbd"},
    "Are released volumes deleted? A": lambda found: "rbd" in found,
    "Are released volumes deleted? B": some("rbd"),
    "How much space is left in the pools? A": some("ceph rbd"),
    "How much space is left in the pools? B": within(0, 1 << 30),
    "Do images and volumes match? A": within(0, 10),
    "Do images and volumes match? B": within(0, 10),
    "Does Ceph answer? A": some("ok"),
    "How are requests to the REST API answered? A": some("200", "401", "404"),
    "How long does the REST API take to answer? A": lambda found: len(found) > 3,
    "How much memory does each Pod use? A": within(20 << 20, 512 << 20),
    "How much CPU does each Pod use? A": within(0, 2),
    "How does the API server answer? A": some("200 secrets", "200 volumes", "200 webhook"),
    "Do the watches deliver? A": within(-5, 120),
}
"""What the panels show after the life below, by their titles and the letters of their queries."""


def test_each_panel_is_a_question_and_is_looked_at() -> None:
    assert [title for title in titles() if not title.endswith("?")] == []
    assert SHOWN.keys() == panels().keys()


@pytest.fixture
def life(control_plane: ControlPlane, ceph: Ceph, place: Place, tmp_path: Path) -> Iterator[tuple[Life, Prometheus]]:
    """All five processes through a life with faults, watched from its beginning; at its end the REST API stops."""
    installation = Installation(control_plane, ceph, place, tmp_path / "sutler", manifests="overlays/tokens")
    control_plane.kubectl("create", "namespace", NAMESPACE)
    trusted = reviewed_by(control_plane, f"{NAMESPACE}:ecr-puller")
    with running_cloud(FakeAws(trusted=trusted)) as cloud, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUTLER_RECONCILE_INTERVAL", "5")
        patch.setenv("SUTLER_CAPACITY_INTERVAL", "1")
        installation.start()
        try:
            endpoints = ",".join(f"{name}={cloud.url}" for name in ("ecr", "aws-sts"))
            lived = Life(control_plane, ceph, installation)
            tokens = installation.run("tokens", *QUICK, "--endpoints", endpoints)
            prometheus = Prometheus(tmp_path / "prometheus", place, {**lived.processes, "tokens": tokens})
            try:
                prometheus.wait_ready()
                token = json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS.manifests()})
                control_plane.kubectl("create", "-f", "-", input=token)
                lived.play()
                yield lived, prometheus
            finally:
                prometheus.stop()
        finally:
            installation.stop()


def again(life: Life) -> None:
    """What happened once in the life happens once more: a rate does not see the first of its kind."""
    kubectl = life.control_plane.kubectl
    time.sleep(3 * SCRAPE_SECONDS)
    life.create_pod()
    leaving = registry_mapping("leaving", f"{ALIYUN}/xxxx/left", copy_from=SOURCE)
    apply(life.control_plane, leaving, life.source("again"))
    copies = ("get", "secret", "-n", TEAM, "-o", "name")
    wait_for(lambda: "secret/leaving" in kubectl(*copies), "another copy")
    kubectl("delete", "registrymapping", "leaving")
    wait_for(lambda: "secret/leaving" not in kubectl(*copies), "the copy to go")
    api = Api(life.installation.api.url, life.installation.state / "api" / "ca.crt", token=life.token)
    answers = [api.get("/pools"), api.get("/pools/nowhere/images"), api.as_(None).get("/pools")]
    assert [each.status for each in answers] == [200, 404, 401]
    kubectl("annotate", "registrytoken", "ecr", "sutler.dev/refresh-requested-at=again")
    # What stops after this is not seen before the next look at it.
    time.sleep(3 * SCRAPE_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_panels_show_what_happened_and_alerts_can_be_evaluated(life: tuple[Life, Prometheus]) -> None:
    lived, prometheus = life
    again(lived)
    lived.installation.api.stop()
    wait_for(lambda: 0 in prometheus.values('up{component="api"}').values(), "the stop to be seen")
    seen: dict[str, Values] = {}

    def wrong() -> list[str]:
        seen.update({at: prometheus.values(query) for at, query in panels(rate_interval="10m").items()})
        return [f"{at}: {seen[at]}" for at, is_true in SHOWN.items() if not is_true(seen[at])]

    try:
        wait_for(lambda: not wrong(), "each panel to show what happened", 90)
    except TimeoutError:
        pytest.fail("\n".join(wrong()), pytrace=False)
    finally:
        print(*(f"{at}: {shown}" for at, shown in seen.items()), sep="\n")
    evaluated = prometheus.rules()
    assert [rule["name"] for rule in evaluated if rule["health"] != "ok"] == []
    assert "SutlerDown" in {rule["name"] for rule in evaluated if rule["state"] in {"pending", "firing"}}
