"""The PromQL expressions of the alert rules and the dashboard."""

import json

import yaml

from tests.manifests.rendered import MANIFESTS, Json

_PROMETHEUS = MANIFESTS / "components" / "prometheus"


def rules() -> Json:
    """Return the groups of rules, as Prometheus reads them."""
    spec: Json = yaml.safe_load((_PROMETHEUS / "rules.yaml").read_text())["spec"]
    return spec


def panels(rate_interval: str = "5m") -> dict[str, str]:
    """Return the expressions by panel and query, with the values that Grafana fills in."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", rate_interval)
        for panel in _dashboard()
        for target in panel.get("targets", [])
    }


def titles() -> list[str]:
    """Return the titles of all panels that show something."""
    return [panel["title"] for panel in _dashboard() if panel.get("targets")]


def _dashboard() -> list[Json]:
    found: list[Json] = json.loads((_PROMETHEUS / "dashboard.json").read_text())["panels"]
    return found


def expressions() -> dict[str, str]:
    """Return all expressions by the alert's name, or by the panel's title and the query's letter."""
    return {rule["alert"]: rule["expr"] for group in rules()["groups"] for rule in group["rules"]} | panels()
