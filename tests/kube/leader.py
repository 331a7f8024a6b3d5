"""A process that leads and writes as fast as it can: python -m tests.kube.leader KUBECONFIG NAMESPACE [stubborn].

"stubborn": its work refuses to end.
"""

import asyncio
import contextlib
import sys

from sutler import process
from sutler.kube import Elector, connect
from sutler.kube.resources import CONFIG_MAPS
from sutler.settings import ProcessSettings

LEASE = {"duration": 2.0, "renew_deadline": 1.2, "retry_period": 0.2}


async def main() -> None:
    kubeconfig, namespace, *stubborn = sys.argv[1:]
    async with connect(kubeconfig, component="leader") as client:
        elector = Elector(client, "test", namespace, identity="process", **LEASE)
        fenced = client.fenced(elector.check)

        refused = [asyncio.CancelledError] if stubborn else []

        async def lead() -> None:
            number = 0
            while True:
                number += 1
                with contextlib.suppress(*refused):
                    await fenced.merge_patch(CONFIG_MAPS, "target", {"data": {"process": str(number)}}, namespace)

        await elector.run(lead)


if __name__ == "__main__":
    sys.exit(process.run(main, settings=ProcessSettings(log_format="json")))
