import datetime as dt
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from certs.pki import ServerNames, new_authority, new_leaf
from tests.webhook.pods import state
from tests.webhook.server_fixture import Contexts, Running, free_port
from webhook.handler import AdmissionHandler
from webhook.limits import ConcurrencyLimits
from webhook.server import listening


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server named localhost, and for its clients."""
    folder = tmp_path_factory.mktemp("tls")
    now = dt.datetime.now(dt.UTC)
    authority = new_authority(now)
    leaf = new_leaf(authority, ServerNames(("localhost",)), now)
    (folder / "tls.crt").write_bytes(leaf.certificate)
    (folder / "tls.key").write_bytes(leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return server, ssl.create_default_context(cadata=authority.certificate.decode())


@pytest.fixture
async def running(contexts: Contexts) -> AsyncIterator[Running]:
    port = free_port()
    # Waits as long as a busy machine takes; what it does with those that wait too long has tests of its own.
    admission = AdmissionHandler(state(), ConcurrencyLimits(lag_seconds=30))
    async with (
        listening(admission, "127.0.0.1", port, contexts[0]),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=contexts[1])) as session,
    ):
        yield Running(admission, session, port, contexts[1])
