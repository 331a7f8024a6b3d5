"""One of Sutler's own processes, run as a user outside any cluster would run it."""

import os
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import probe
from tests.cluster.place import Place
from tests.cluster.process import Process
from tests.cluster.wait import PATIENCE

_REPOSITORY = Path(__file__).parents[2]


class SutlerProcess:
    """`python -m` with `module_args`, for example ["webhook"] or ["provisioner", "secrets", "--workers", "4"].

    `python` is that of an environment where Sutler is installed. Default: this one, which runs `source`, the
    working tree unless another is given.
    """

    process: Process
    url: str
    """Where the webhook or the REST API serves."""

    def __init__(
        self,
        module_args: Sequence[str],
        kubeconfig: Path,
        place: Place,
        state: Path,
        env: Mapping[str, str] | None = None,
        python: Path | None = None,
        source: Path = _REPOSITORY,
    ) -> None:
        self.place = place
        self.name = "-".join(word for word in module_args[:2] if not word.startswith("-"))
        self._probe_port = place.port()
        self.log = state / f"{self.name}-{self._probe_port}.log"
        self.probe_url = f"http://127.0.0.1:{self._probe_port}"
        self._ports = [self._probe_port]
        self._env = dict(env or {})
        # Python looks for modules where it starts, before it looks into its environment.
        self._folder = source if python is None else state
        self._argv = [str(python or sys.executable), "-m", *module_args, "--kubeconfig", str(kubeconfig)]
        self._argv += ["--probe-host", "127.0.0.1", "--probe-port", str(self._probe_port)]
        if module_args[0] == "webhook":
            self.url = f"https://127.0.0.1:{self._serve()}"
            self._argv += ["--url", f"{self.url}/mutate"]
        elif module_args[1] == "api":
            self.url = f"https://localhost:{self._serve()}"

    def _serve(self) -> int:
        port = self.place.port()
        self._ports.append(port)
        self._argv += ["--host", "127.0.0.1", "--port", str(port)]
        return port

    def start(self, timeout: float = PATIENCE) -> None:
        """Start it and wait until it says that it is ready."""
        self.launch()
        try:
            self.wait_ready(timeout)
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start it without waiting, for tests of what it does before it is ready."""
        self.place.forward(*self._ports)
        # No server here has a certificate of a public authority, and to read theirs takes 40 ms of a core.
        env = {"PYTHONUNBUFFERED": "1", "SSL_CERT_FILE": os.devnull} | self._env
        self.process = Process.started(self._argv, place=self.place, log=self.log, env=env, cwd=self._folder)
        self.process.name = self.name

    def wait_ready(self, timeout: float = PATIENCE) -> None:
        self.process.until(self.ready, f"{self.name} to be ready", timeout)

    def stop(self) -> None:
        self.process.stop()

    def restart(self, timeout: float = PATIENCE) -> None:
        """A crash and a new start on the same ports."""
        self.process.restart()
        self.wait_ready(timeout)

    def kill9(self) -> None:
        self.process.stop(grace=0)

    def freeze(self) -> None:
        self.process.freeze()

    def resume(self) -> None:
        self.process.resume()

    def ready(self) -> bool:
        return self.probe("readyz")[0] == HTTPStatus.OK

    def probe(self, what: str) -> tuple[int, str]:
        """Status and text of /healthz, /readyz or /metrics; status 0 when nothing answers."""
        return probe.get(f"{self.probe_url}/{what}")

    def metrics(self) -> dict[str, float]:
        """Samples by their name and sorted labels, as in `name{code="200",method="GET"}`."""
        samples = {}
        for family in text_string_to_metric_families(self.probe("metrics")[1]):
            for sample in family.samples:
                labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return samples

    def log_text(self) -> str:
        return self.process.log_text()
