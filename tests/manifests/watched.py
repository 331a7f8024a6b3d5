"""Every expression of the alert rules and the dashboard."""

import json

from tests.manifests.rendered import OVERLAYS, Json, named, rendered


def rules() -> Json:
    """As Prometheus reads them: the groups."""
    spec: Json = named(rendered(OVERLAYS["prometheus"]), "PrometheusRule", "sutler")["spec"]
    return spec


def panels() -> dict[str, str]:
    """With what Grafana fills in."""
    stored = named(rendered(OVERLAYS["prometheus"]), "ConfigMap", "sutler-dashboard")["data"]["sutler.json"]
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
        for panel in json.loads(stored)["panels"]
        for target in panel.get("targets", [])
    }


def expressions() -> dict[str, str]:
    """By the alert, or the panel's title and the query's letter."""
    return {rule["alert"]: rule["expr"] for group in rules()["groups"] for rule in group["rules"]} | panels()
