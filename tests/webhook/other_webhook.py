"""Another webhook, which is called after Sutler's and rewrites images, as for a pull-through cache."""

import base64
import datetime as dt
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from certs.pki import ServerNames, new_authority, new_leaf

CACHE, BEHIND = "cache.example.com/", "quay.io/"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        patch = [
            {"op": "replace", "path": f"/spec/containers/{number}/image", "value": image.replace(CACHE, BEHIND)}
            for number, container in enumerate(request["object"]["spec"]["containers"])
            if (image := container["image"]).startswith(CACHE)
        ]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if patch:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        del format, args


@contextmanager
def rewriter(port: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Its registration, for Pods labelled rewrite=yes. The name comes after that of ours, and so does its call."""
    now = dt.datetime.now(dt.UTC)
    authority = new_authority(now)
    leaf = new_leaf(authority, ServerNames(("localhost",)), now)
    certificate, key = folder / "rewriter.crt", folder / "rewriter.key"
    certificate.write_bytes(leaf.certificate)
    key.write_bytes(leaf.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    webhook = {
        "name": "rewriter.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {
            "url": f"https://localhost:{port}/",
            "caBundle": base64.b64encode(authority.certificate).decode(),
        },
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "objectSelector": {"matchLabels": {"rewrite": "yes"}},
    }
    try:
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "zz-rewriter"},
            "webhooks": [webhook],
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
