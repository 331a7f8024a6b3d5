"""A real browser, headless, over the WebDriver protocol: JSON over HTTP, which needs no library."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.cluster import Place, wait_for
from tests.cluster.process import Process

_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
]
KEYS = {"tab": "\ue004", "enter": "\ue007", "down": "\ue015"}


class Browser:
    def __init__(self, place: Place, state: Path) -> None:
        port = place.port()
        self._url = f"http://127.0.0.1:{port}"
        argv = ["chromedriver", f"--port={port}"]
        self._driver = Process.started(argv, place=place, log=state / "chromedriver.log", env={"HOME": str(state)})
        self._session = ""

    def start(self) -> None:
        self._driver.until(self._ready, "chromedriver", 30)
        wanted = {
            "browserName": "chrome",
            "acceptInsecureCerts": True,
            "goog:chromeOptions": {"args": _FLAGS},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def stop(self) -> None:
        if self._session:
            self._call("DELETE", self._session)
        self._driver.stop()

    def open(self, url: str, *, token: str, dark: bool = False, size: tuple[int, int] = (1280, 900)) -> None:
        """A fresh page, asked for with this token."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        self._devtools("Network.enable", {})
        credentials = base64.b64encode(f"browser:{token}".encode()).decode()
        self._devtools("Network.setExtraHTTPHeaders", {"headers": {"Authorization": f"Basic {credentials}"}})
        self._call("POST", f"{self._session}/url", {"url": "about:blank"})
        self.complaints()
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body in JavaScript returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self, selector: str) -> str:
        found: str = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')", selector
        )
        return found

    def until(self, selector: str, text: str, timeout: float = 20) -> str:
        """Wait until the element says that."""

        def said() -> str | None:
            shown = self.text(selector)
            return shown if text in shown else None

        return wait_for(said, f"{text!r} in {selector}", timeout)

    def screenshot(self, file: Path) -> None:
        """The whole page, however long."""
        taken = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        file.write_bytes(base64.b64decode(taken["data"]))

    def complaints(self) -> list[str]:
        """What the console has said since the last time: errors of scripts, refused resources."""
        return [entry["message"] for entry in self._call("POST", f"{self._session}/se/log", {"type": "browser"})]

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _ready(self) -> bool:
        try:
            return bool(self._call("GET", "/status")["ready"])
        except OSError:
            return False

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own driver
            self._url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
            return json.load(answer)["value"]
