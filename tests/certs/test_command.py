"""`sutler certs`, at a real API server that calls a real webhook."""

import base64
import datetime as dt
import json
import os
from collections.abc import Iterator

import pytest

from certs import pki
from certs.rotation import CertificateSecret
from sutler.cli.certs.fetch import server_names
from tests.certs.cluster_objects import Stored
from tests.cli.conftest import Sutler
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for
from tests.cluster.installation import Installation
from tests.conftest import REPOSITORY

OWN = ("-n", "sutler-system")


@pytest.fixture(scope="module")
def webhook(
    control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SutlerProcess]:
    """Two replicas would be called by two URLs; one is enough to be called."""
    installation = Installation(control_plane, None, place, tmp_path_factory.mktemp("sutler"))
    installation.apply()
    yield installation.run("webhook", "--certificate-interval", "0.3")
    installation.stop()


@pytest.fixture
def certs(control_plane: ControlPlane) -> Sutler:
    ours = {"KUBECONFIG": str(control_plane.kubeconfig), "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}
    return Sutler({**os.environ, **ours})


@pytest.fixture
def stored(control_plane: ControlPlane, webhook: SutlerProcess) -> Stored:
    assert webhook.ready()
    return Stored(control_plane)


def assert_contains_no_key(said: str, contents: CertificateSecret) -> None:
    for key in (contents.authority_key, contents.leaf.key):
        for line in key.decode().splitlines()[1:-1]:
            assert line not in said


def test_show_has_what_is_stored_published_and_served(certs: Sutler, stored: Stored) -> None:
    ran = certs("certs", "show", "-o", "json")
    assert ran.status == 0, ran.out + ran.err
    said, contents = ran.json, stored.contents()
    leaf = pki.read_certificate(contents.leaf.certificate)
    assert said["certificate"]["notAfter"] == leaf.not_valid_after_utc.isoformat()
    assert said["certificate"]["names"] == ["127.0.0.1"]
    assert said["certificate"]["signedBy"] == said["authorities"][0]["name"]
    assert [(each["trusted"], each["same"], each["served"]) for each in said["published"]] == [(True, True, True)] * 2
    assert said["findings"] == []
    text = certs("certs", "show").out
    assert "signed by sutler-webhook-ca-" in text
    assert "trusted by     inject.sutler.dev, warn.sutler.dev of sutler-webhook" in text
    assert_contains_no_key(ran.out + text, contents)


def test_rotate_gets_a_new_certificate_of_the_same_ca(certs: Sutler, stored: Stored) -> None:
    before = stored.contents()
    ran = certs("certs", "rotate")
    assert ran.status == 0, ran.out + ran.err
    after = stored.contents()
    assert after.authorities == before.authorities
    assert after.leaf.certificate != before.leaf.certificate
    assert "New certificate, signed by sutler-webhook-ca-" in ran.out
    assert_contains_no_key(ran.out, after)
    wait_for(lambda: certs("certs", "show").status == 0, "the new one to be served")


def test_rotate_ca_keeps_the_old_one_trusted_and_is_not_done_twice_at_once(certs: Sutler, stored: Stored) -> None:
    before = stored.contents()
    ran = certs("certs", "rotate", "--ca")
    assert ran.status == 0, ran.out + ran.err
    after = stored.contents()
    assert pki.read_bundle(after.authorities)[1:] == pki.read_bundle(before.authorities)[:1]
    assert pki.is_signed_by(pki.read_certificate(after.leaf.certificate), pki.read_bundle(after.authorities)[0])
    assert "The old CA is removed an hour from now" in ran.out
    again = certs("certs", "rotate", "--ca")
    assert again.status == 1
    assert "is in a change of CA, which takes an hour" in again.err
    assert stored.contents() == after
    shown = certs("certs", "show")
    assert shown.status == 0
    assert "is in a change of CA" in shown.out
    assert "old CA" in shown.out


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (b"", "has no caBundle: the API server cannot verify the webhook"),
        (pki.new_authority(dt.datetime.now(dt.UTC)).certificate, "none of its CAs has signed the certificate"),
    ],
    ids=["none", "another"],
)
def test_show_finds_a_ca_that_is_not_published(
    certs: Sutler, stored: Stored, webhook: SutlerProcess, bundle: bytes, reason: str
) -> None:
    path = "/webhooks/1/clientConfig/caBundle"
    change = [{"op": "replace", "path": path, "value": base64.b64encode(bundle).decode()}]
    webhook.freeze()
    try:
        stored.control_plane.kubectl(
            "patch", "mutatingwebhookconfiguration", "sutler-webhook", "--type=json", "-p", json.dumps(change)
        )
        ran = certs("certs", "show")
    finally:
        webhook.resume()
    assert ran.status == 1
    assert "Webhook warn.sutler.dev of MutatingWebhookConfiguration sutler-webhook" in ran.out
    assert reason in ran.out
    wait_for(lambda: certs("certs", "show").status == 0, "the CA to be published again")


def test_certificate_of_cert_manager_is_not_ours_to_rotate(certs: Sutler, stored: Stored) -> None:
    kubectl = stored.control_plane.kubectl
    kubectl("create", "secret", "generic", "kept", *OWN)
    try:
        kubectl("annotate", "secret", "kept", *OWN, "cert-manager.io/certificate-name=webhook")
        ran = certs("certs", "rotate", "--secret", "kept")
        assert ran.status == 1
        assert "cmctl renew -n sutler-system webhook" in ran.err
    finally:
        kubectl("delete", "secret", "kept", *OWN)


def test_missing_secret_is_reported(certs: Sutler, webhook: SutlerProcess) -> None:
    del webhook
    ran = certs("certs", "show", "--secret", "nowhere")
    assert ran.status == 1
    assert "there is no Secret sutler-system/nowhere: create the empty one" in ran.err


def test_names_are_those_that_the_api_server_calls() -> None:
    service = {"clientConfig": {"service": {"name": "hook", "namespace": "ns"}}}
    names = server_names(
        [service, service, *({"clientConfig": {"url": f"https://{host}/x"}} for host in ("h:1", "[::1]"))]
    )
    assert (names.dns, names.ips) == (("hook.ns.svc", "h"), ("::1",))
