"""A docker-registry that gives nothing without a password, or one that gives everything to everybody."""

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import yaml

from tests.cluster import probe
from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.process import Process

_PROGRAMS = {"docker-registry": "docker-registry", "htpasswd": "apache2-utils", "skopeo": "skopeo"}


class Registry:
    """Speaks plain HTTP on 127.0.0.1, which clients allow there; `host` is what image names begin with.

    Without `users` it asks for no password. `auth` is another way to know them than a file of the registry's own.
    """

    process: Process

    def __init__(
        self, state: Path, place: Place, users: Mapping[str, str], auth: Mapping[str, object] | None = None
    ) -> None:
        self._auth = auth
        self.state = state.absolute()
        self.place = place
        self.users = dict(users)
        self.port = place.port()
        self.host = f"localhost:{self.port}"

    def start(self) -> None:
        missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
        if missing:
            raise ClusterError(
                f"the registry needs the Debian packages {', '.join(missing)} (make setup installs them)"
            )
        self.state.mkdir(parents=True, exist_ok=True)
        self.let_in(self.users)
        config = self.state / "config.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        self.place.forward(self.port)
        argv = ["docker-registry", "serve", str(config)]
        self.process = Process.started(argv, place=self.place, log=self.state / "registry.log")
        try:
            self.process.until(self._answers, "the registry to answer")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.process.stop(grace=3)

    def let_in(self, users: Mapping[str, str]) -> None:
        """Only these, also while it runs: the registry reads the file again when that has changed."""
        self.users = dict(users)
        (self.state / "htpasswd").write_text("".join(_htpasswd_line(*user) for user in self.users.items()))

    def push(self, repository_and_tag: str, image_archive: Path) -> str:
        """Push an OCI archive as the first user; returns the image's full name."""
        first = next(iter(self.users.items()), None)
        authenticated = ["--authfile", str(self.authfile(*first))] if first else []
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
        source, target = f"oci-archive:{image_archive}", f"docker://{self.host}/{repository_and_tag}"
        ran = subprocess.run(
            [*self.place.prefix, *command, *authenticated, source, target],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ran.returncode != 0:
            raise ClusterError(f"skopeo copy {source} {target}: {ran.stderr.strip()}")
        return f"{self.host}/{repository_and_tag}"

    def docker_config(self, user: str, password: str) -> str:
        """The .dockerconfigjson that lets `user` in."""
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        return json.dumps({"auths": {self.host: {"username": user, "password": password, "auth": auth}}})

    def authfile(self, user: str, password: str) -> Path:
        target = self.state / f"auth-{user}.json"
        target.touch(mode=0o600)
        target.write_text(self.docker_config(user, password))
        return target

    def _config(self) -> dict[str, object]:
        own = {"htpasswd": {"realm": "test registry", "path": str(self.state / "htpasswd")}}
        asked = {"auth": dict(self._auth or own)}
        return {
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.state / "images")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
            **(asked if self.users else {}),
        }

    def _answers(self) -> bool:
        status, _ = probe.get(f"http://127.0.0.1:{self.port}/v2/")
        if status == HTTPStatus.OK and self.users:
            raise ClusterError(f"the registry on port {self.port} asks for no password")
        return status == (HTTPStatus.UNAUTHORIZED if self.users else HTTPStatus.OK)


def _htpasswd_line(user: str, password: str) -> str:
    """bcrypt, the only kind that docker-registry reads; by standard input, so that no `ps` shows the password."""
    command = ["htpasswd", "-n", "-i", "-B", "-C", "5", user]
    ran = subprocess.run(command, input=password, capture_output=True, text=True, timeout=30, check=True)
    return ran.stdout.strip() + "\n"
