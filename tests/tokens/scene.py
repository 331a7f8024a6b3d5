"""A fake cloud and a few objects in memory, between which the tokens process works."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sutler import well_known
from tests.tokens.fakes.api_server import SECRETS, TOKENS, FakeApiServer
from tests.tokens.fakes.aws import ROLE, FakeAws
from tests.tokens.fakes.hosts import HOSTS

Json = dict[str, Any]

REGISTRY = HOSTS["ecr"]
SPEC = {
    "secretName": "pull",
    "registries": [REGISTRY],
    "ecr": {"roleARN": ROLE, "identity": {"serviceAccountName": "puller"}},
}


@dataclass
class Scene:
    api: FakeApiServer
    cloud: FakeAws

    def secret(self, name: str = "pull", owner: str = "ecr", **fields: Any) -> None:
        data = {".dockerconfigjson": base64.b64encode(b'{"auths":{}}').decode()}
        labels = {well_known.TOKEN: owner}
        self.api.put(
            f"{SECRETS}/{name}",
            {"type": "kubernetes.io/dockerconfigjson", "data": data, "metadata": {"labels": labels}, **fields},
        )

    def token(self, name: str = "ecr", **spec: Any) -> None:
        self.api.put(f"{TOKENS}/{name}", {"spec": {**SPEC, **spec}})

    def request_refresh(self) -> None:
        obj = self.api.objects[f"{TOKENS}/ecr"]
        obj["metadata"]["annotations"] = {well_known.REFRESH_REQUESTED_AT: "now"}
        self.api.put(f"{TOKENS}/ecr", obj)

    def status(self, name: str = "ecr") -> Json:
        found: Json = self.api.objects[f"{TOKENS}/{name}"].get("status") or {}
        return found

    def condition(self, kind: str = "Ready", name: str = "ecr") -> tuple[str, str]:
        found: Json = next((each for each in self.status(name).get("conditions", []) if each["type"] == kind), {})
        return found.get("status", ""), found.get("reason", "")

    def passwords(self, name: str = "pull") -> dict[str, str]:
        data = self.api.objects[f"{SECRETS}/{name}"]["data"][".dockerconfigjson"]
        auths = json.loads(base64.b64decode(data))["auths"]
        return {key: base64.b64decode(each["auth"]).decode().partition(":")[2] for key, each in auths.items()}

    def has_good_token(self, name: str = "pull") -> bool:
        found = self.passwords(name)
        return bool(found) and all(map(self.cloud.is_good, found.values()))

    def writes(self, path: str) -> int:
        return sum(each.endswith(path) for each in self.api.writes)


async def until(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"did not see {what}"
        await asyncio.sleep(0.02)
