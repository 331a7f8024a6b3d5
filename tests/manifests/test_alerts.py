"""Every alert, evaluated by promtool: it fires when it should, and does not fire in normal operation."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.manifests.promql_expressions import panels, rules
from tests.manifests.rendered import Json

# Every minute for ten hours, longer than any alert waits.
MINUTES = 600


class Scenario(NamedTuple):
    """Series as promtool reads them, `5+1x3` is 5 6 7 8; `{job}` is the label that all have."""

    healthy: dict[str, str]
    failing: dict[str, str]


def gauge(series: str, healthy: float, failing: float, **beside: float) -> Scenario:
    others = {f"{name}{{{{job}}}}": f"{value}+0x{MINUTES}" for name, value in beside.items()}
    return Scenario({series: f"{healthy}+0x{MINUTES}", **others}, {series: f"{failing}+0x{MINUTES}", **others})


def counter(series: str, failing: float, **beside: float) -> Scenario:
    """A counter that is constant in normal operation, else grows by `failing` a minute; the others always grow."""
    others = {f"{name}{{{{job}}}}": f"0+{value}x{MINUTES}" for name, value in beside.items()}
    return Scenario({series: f"7+0x{MINUTES}", **others}, {series: f"7+{failing}x{MINUTES}", **others})


def durations(slowest: float) -> dict[str, str]:
    """A histogram of a hundred requests a minute, each of which took `slowest` seconds."""
    growth = {str(bound): 100 if bound >= slowest else 0 for bound in (0.01, 1.0)} | {"+Inf": 100}
    name = "sutler_admission_duration_seconds_bucket"
    return {f'{name}{{{{job}}, le="{bound}"}}': f"0+{each}x{MINUTES}" for bound, each in growth.items()}


def never_scraped(component: str) -> Scenario:
    """A component without series, while the other components have theirs."""
    others = {'up{{job}, component="webhook", pod="w"}': f"1+0x{MINUTES}"}
    return Scenario({**others, f'up{{{{job}}, component="{component}", pod="p"}}': f"1+0x{MINUTES}"}, others)


UP = 'up{{job}, component="webhook", pod="p"}'
LEADER = 'leader_election_master_status{{job}, name="sutler-volumes", pod="p"}'
LAST_EVENT = 'sutler_reflector_last_event_timestamp_seconds{{job}, resource="pods"}'
EXPIRY = 'sutler_registry_token_expiry_timestamp_seconds{{job}, token="a"}'
REFRESHING = 'sutler_registry_token_refreshing{{job}, token="a"}'
ALERTS = {
    "SutlerWebhookDown": gauge(UP, 1, 0),
    "SutlerSecretsDown": never_scraped("secrets"),
    "SutlerVolumesDown": never_scraped("volumes"),
    "SutlerDown": gauge(UP, 1, 0),
    "SutlerNoLeader": gauge(LEADER, 1, 0),
    "SutlerMultipleLeaders": Scenario(
        {LEADER: f"1+0x{MINUTES}", LEADER.replace('"p"', '"q"'): f"0+0x{MINUTES}"},
        {LEADER: f"1+0x{MINUTES}", LEADER.replace('"p"', '"q"'): f"1+0x{MINUTES}"},
    ),
    "SutlerWatchStalled": Scenario({LAST_EVENT: f"0+60x{MINUTES}"}, {LAST_EVENT: f"60+0x{MINUTES}"}),
    "SutlerApiServerErrors": counter(
        'rest_client_requests_total{{job}, code="<error>"}', 20, rest_client_requests_total=50
    ),
    "SutlerForbidden": counter('rest_client_requests_total{{job}, code="403"}', 2),
    "SutlerQueueBacklog": gauge('workqueue_depth{{job}, name="volumes"}', 50, 51),
    "SutlerWebhookErrors": counter('sutler_admission_requests_total{{job}, outcome="error"}', 1),
    "SutlerWebhookOverloaded": counter('sutler_admission_requests_total{{job}, outcome="overloaded"}', 10),
    "SutlerWebhookSlow": Scenario(durations(0.01), durations(1.0)),
    "SutlerCertificateExpires": gauge("sutler_certificate_expiry_timestamp_seconds{{job}}", 130_000, 110_000),
    "SutlerCertificateUnusable": counter("sutler_certificate_reload_failures_total{{job}}", 1),
    "SutlerMappingUnusable": gauge('sutler_mappings{{job}, usable="false"}', 0, 1),
    "SutlerTokenUnusable": gauge('sutler_registry_token_ready{{job}, token="a"}', 1, 0),
    "SutlerTokenExpiresSoon": Scenario(
        {EXPIRY: f"37000+0x{MINUTES}", REFRESHING: f"1+0x{MINUTES}"},
        {EXPIRY: f"37000+0x{MINUTES}", REFRESHING: f"0+0x{MINUTES}"},
    ),
    "SutlerTokenRefreshFails": gauge('sutler_registry_token_refreshing{{job}, token="a"}', 1, 0),
    "SutlerProvisioningErrors": counter('controller_persistentvolumeclaim_provision_failed_total{{job}, class="c"}', 1),
    "SutlerDeletionErrors": counter('controller_persistentvolume_delete_failed_total{{job}, class="c"}', 1),
    "SutlerVolumeWithoutImage": gauge('sutler_volumes_without_image{{job}, pool="rbd"}', 0, 1),
    "SutlerOrphanImages": gauge('sutler_orphan_images{{job}, pool="rbd"}', 0, 1),
    "SutlerPoolAlmostFull": gauge("sutler_pool_available_bytes{{job}}", 200, 100, sutler_pool_used_bytes=1000),
    "SutlerCephErrors": counter(
        'sutler_ceph_operation_duration_seconds_count{{job}, result="Unavailable"}',
        20,
        sutler_ceph_operation_duration_seconds_count=10,
    ),
    "SutlerApiErrors": counter('sutler_api_requests_total{{job}, code="504"}', 1, sutler_api_requests_total=10),
}


def case(alert: str, series: dict[str, str], *, fires: bool) -> Json:
    job = 'job="sutler-system/sutler"'
    given = [
        {"series": name.replace("{{job}", f"{{{job}").replace("}}", "}"), "values": values}
        for name, values in series.items()
    ]
    firing = f'group by (alertname) (ALERTS{{alertname="{alert}", alertstate="firing"}})'
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if fires else []
    expected = {"expr": firing, "eval_time": f"{MINUTES}m", "exp_samples": samples}
    return {"interval": "1m", "input_series": given, "promql_expr_test": [expected]}


def promtool(folder: Path, *words: str) -> None:
    ran = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def evaluate(folder: Path, cases: dict[str, Json]) -> None:
    """Each alert beside its own rule alone: of two dozen, promtool would evaluate all for each."""
    for alert, one in cases.items():
        own = [rule for group in rules()["groups"] for rule in group["rules"] if rule["alert"] == alert]
        (folder / f"{alert}.rules").write_text(yaml.safe_dump({"groups": [{"name": alert, "rules": own}]}))
        (folder / f"{alert}.yaml").write_text(
            yaml.safe_dump({"rule_files": [f"{alert}.rules"], "evaluation_interval": "10m", "tests": [one]})
        )
    promtool(folder, "test", "rules", *(f"{alert}.yaml" for alert in cases))


def test_rules_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    promtool(tmp_path, "check", "rules", "rules.yaml")


def test_the_dashboard_can_be_read(tmp_path: Path) -> None:
    recorded = [{"record": "panel", "expr": expression, "labels": {"at": at}} for at, expression in panels().items()]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool(tmp_path, "check", "rules", "panels.yaml")


def test_every_alert_has_a_scenario() -> None:
    assert [rule["alert"] for group in rules()["groups"] for rule in group["rules"]] == list(ALERTS)


def test_alerts_fire(tmp_path: Path) -> None:
    evaluate(tmp_path, {alert: case(alert, scenario.failing, fires=True) for alert, scenario in ALERTS.items()})


def test_alerts_do_not_fire_in_normal_operation(tmp_path: Path) -> None:
    evaluate(tmp_path, {alert: case(alert, scenario.healthy, fires=False) for alert, scenario in ALERTS.items()})


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    alert, scenario = next(iter(ALERTS.items()))
    with pytest.raises(AssertionError, match="FAILED"):
        evaluate(tmp_path, {alert: case(alert, scenario.healthy, fires=True)})


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_has_a_section_in_the_guide(alert: str) -> None:
    (rule,) = (one for group in rules()["groups"] for one in group["rules"] if one["alert"] == alert)
    file, _, chapter = rule["annotations"]["runbook"].partition("#")
    headings = [line for line in (REPOSITORY / file).read_text().splitlines() if line.startswith("#")]
    assert [line for line in headings if line.lstrip("# ").lower() == chapter] == [f"### {alert}"]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
