"""A real Prometheus that scrapes processes as a PodMonitor would, and evaluates the alert rules."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.cluster import Place, SutlerProcess, probe, wait_for
from tests.cluster.installation import NAMESPACE
from tests.cluster.process import Process
from tests.manifests.promql_expressions import rules

Json = dict[str, Any]
JOB = "sutler-system/sutler"
SCRAPE_SECONDS = 1


class Prometheus:
    def __init__(self, folder: Path, place: Place, targets: Mapping[str, SutlerProcess]) -> None:
        """`targets`: the processes by their component."""
        self.url = f"http://127.0.0.1:{place.port()}"
        groups = [
            {
                "targets": [target.probe_url.removeprefix("http://")],
                "labels": {"component": component, "namespace": NAMESPACE, "pod": f"sutler-{component}-1"},
            }
            for component, target in targets.items()
        ]
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": JOB, "static_configs": groups}],
        }
        folder.mkdir(parents=True)
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
        ]
        command += [f"--web.listen-address={self.url.removeprefix('http://')}"]
        self._process = Process.started(command, place=place, log=folder / "prometheus.log", env={})

    def wait_ready(self) -> None:
        self._process.until(lambda: probe.get(f"{self.url}/-/ready")[0] == 200, "Prometheus to be ready")

    def stop(self) -> None:
        self._process.stop()

    def values(self, expression: str) -> dict[str, float]:
        """The samples of an instant query by their labels' values, as a legend joins them."""
        data = self._get(f"query?{urlencode({'query': expression})}")
        return {" ".join(one["metric"].values()): float(one["value"][1]) for one in data["result"]}

    def rules(self) -> list[Json]:
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str) -> Json:
        answer = json.loads(wait_for(lambda: self._answer(path), "Prometheus to answer"))
        assert answer["status"] == "success", answer
        data: Json = answer["data"]
        return data

    def _answer(self, path: str) -> str:
        """Empty without an answer in time."""
        status, text = probe.get(f"{self.url}/api/v1/{path}")
        assert status in {0, 200}, text
        return text if status else ""
