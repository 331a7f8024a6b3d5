"""`provisioner tokens` that kills itself, with SIGKILL, right before or right after its n-th call for a token.

Run as `python -m tests.tokens.killable tokens ...` with SUTLER_TEST_KILL=N:before or N:after. Counted are the requests
to clouds, and those to the API server for Secrets, tokens of ServiceAccounts and statuses; not leases, events, watches.
"""

import os
import sys
from typing import Any

from provisioner import __main__ as program
from provisioner.tokens.http_client import HttpClient
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest
from sutler.kube.transport import Call, Transport
from tests.volumes.kill_points import Killer

_ABOUT_TOKENS = ("/secrets/", "/serviceaccounts/", "/registrytokens/")


def count_everything(killer: Killer) -> None:
    send_to_cloud, send_to_cluster = HttpClient.send, Transport.send

    async def counted_http(self: HttpClient, request: HttpRequest) -> HttpAnswer:
        number = killer.begins(request.name)
        try:
            return await send_to_cloud(self, request)
        finally:
            killer.ends(number)

    async def counted_call(self: Transport, call: Call, *args: Any, **kwargs: Any) -> bytes:
        if not any(part in call.path for part in _ABOUT_TOKENS):
            return await send_to_cluster(self, call, *args, **kwargs)
        number = killer.begins(f"{call.method} {call.path}")
        try:
            return await send_to_cluster(self, call, *args, **kwargs)
        finally:
            killer.ends(number)

    HttpClient.send = counted_http  # type: ignore[method-assign] # the one door to clouds
    Transport.send = counted_call  # type: ignore[method-assign] # the one door to the API server


if __name__ == "__main__":
    count_everything(Killer(os.environ.get("SUTLER_TEST_KILL", "0:never")))
    sys.exit(program.main(sys.argv[1:]))
