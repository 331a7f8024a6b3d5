"""A process that leads and writes as fast as it can: python -m tests.kube.leader KUBECONFIG NAMESPACE NAME [stubborn].

What it writes is a count, under its name, into the ConfigMap "target". "stubborn": it writes once, and then refuses to
end.
"""

import asyncio
import contextlib
import itertools
import sys

from sutler import runtime
from sutler.kube.client import connect
from sutler.kube.lease import Elector
from sutler.kube.resources import CONFIG_MAPS
from sutler.settings import ProcessSettings

LEASE = {"duration": 3.0, "renew_deadline": 2.0, "retry_period": 0.2}
"""Short, but with time enough for a busy machine's API server to answer twice."""
PATIENT_LEASE = {"duration": 30.0, "renew_deadline": 20.0, "retry_period": 0.2}
"""For tests that wait for no lease to expire: no busy machine makes a leader lose it."""


async def main() -> None:
    kubeconfig, namespace, name, *stubborn = sys.argv[1:]
    async with connect(kubeconfig, component="leader") as client:
        elector = Elector(client, "test", namespace, identity=name, **LEASE)
        fenced = client.fenced(elector.check)

        async def lead() -> None:
            for number in itertools.count(1):
                await fenced.merge_patch(CONFIG_MAPS, "target", {"data": {name: str(number)}}, namespace)
                while stubborn:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()

        await elector.run(lead)


if __name__ == "__main__":
    sys.exit(runtime.run(main, settings=ProcessSettings(log_format="json")))
