"""A process that leads and writes as fast as it can: python -m tests.kube.leader KUBECONFIG NAMESPACE [stubborn].

"stubborn": it writes once, and then refuses to end.
"""

import asyncio
import contextlib
import itertools
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

        async def lead() -> None:
            for number in itertools.count(1):
                await fenced.merge_patch(CONFIG_MAPS, "target", {"data": {"process": str(number)}}, namespace)
                while stubborn:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()

        await elector.run(lead)


if __name__ == "__main__":
    sys.exit(process.run(main, settings=ProcessSettings(log_format="json")))
