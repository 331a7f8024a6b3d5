"""A vendor whose passwords come by a credential provider plug-in."""

import sys
from pathlib import Path

from aiohttp import web

from tests.tokens.fakes.cloud import FakeCloud, Handler

USER = "plugin"
_SCRIPT = """\
#!{python}
import json, sys, urllib.request
request = json.load(sys.stdin)
password = urllib.request.urlopen("{url}/login").read().decode()
login = {{"username": "{user}", "password": password}}
answer = {{"kind": "CredentialProviderResponse", "apiVersion": request["apiVersion"], "cacheKeyType": "Registry"}}
json.dump({{**answer, "cacheDuration": "5m0s", "auth": {{request["image"].partition("/")[0]: login}}}}, sys.stdout)
"""


class FakePluginVendor(FakeCloud):
    def routes(self) -> dict[tuple[str, str], Handler]:
        return {("GET", "/login"): self._login}

    async def _login(self, _: web.Request) -> web.Response:
        return web.Response(text=self.issue("plugin")[0])

    def install(self, folder: Path, name: str) -> None:
        """The plug-in, which asks this vendor."""
        folder.mkdir(mode=0o755, exist_ok=True)
        file = folder / name
        file.write_text(_SCRIPT.format(python=sys.executable, url=self.url, user=USER))
        file.chmod(0o755)
