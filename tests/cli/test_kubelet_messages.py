"""The meaning of kubelets' messages. The texts were reported by users of each runtime; names are changed."""

import json
import time
from pathlib import Path

import pytest

from sutler.cli.check.kubelet_messages import parse_message
from sutler.cli.check.pull_failures import CREDENTIAL_FAILURES, PullFailure

IMAGE = "registry.example.com/team/app:1.2"
HEAD = 'failed to do request: Head "https://registry.example.com/v2/team/app/manifests/1.2"'
MESSAGES: dict[str, list[str]] = json.loads(Path(__file__).with_name("kubelet_messages.json").read_text())
TEXTS = [(PullFailure[kind], text) for kind, texts in MESSAGES.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_messages_of_kubelets_and_runtimes_are_parse_message(kind: PullFailure, text: str) -> None:
    """By themselves, and as newer kubelets repeat them while they back off."""
    assert parse_message(IMAGE, "ErrImagePull", text).kind is kind
    assert (
        parse_message(IMAGE, "ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {text}').kind is kind
    )


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("quay.io/denied/unauthorized:401", "dial tcp: lookup quay.io on 10.0.0.10:53: no such host"),
        ("quay.io/x509/proxyconnect:429", "quay.io/x509/proxyconnect:429: not found"),
        ("forbidden", "Error response from daemon: manifest for forbidden:latest not found: manifest unknown"),
        ("no-space-left-on-device.example/a:503", "no-space-left-on-device.example/a:503: not found"),
        ("quay.io/a/b", "reading manifest 403 in quay.io/a/forbidden-403: manifest unknown"),
    ],
)
def test_name_of_an_image_is_not_taken_for_what_is_wrong(image: str, text: str) -> None:
    assert parse_message(image, "ErrImagePull", text).kind in {PullFailure.NOT_FOUND, PullFailure.DNS}


@pytest.mark.parametrize(
    ("reason", "text", "kind"),
    [
        ("ErrImageNeverPull", "", PullFailure.NEVER),
        ("InvalidImageName", "anything", PullFailure.NAME),
        ("SignatureValidationFailed", "", PullFailure.SIGNATURE),
        ("RegistryUnavailable", "", PullFailure.SERVER),
        ("RegistryUnavailable", f"{HEAD}: dial tcp 10.0.0.4:443: connect: connection refused", PullFailure.REFUSED),
        ("ImageInspectError", "Failed to inspect image: something", PullFailure.RUNTIME),
        ("ErrImagePull", "", PullFailure.UNKNOWN),
    ],
)
def test_reason_counts_if_the_message_is_less_clear(reason: str, text: str, kind: PullFailure) -> None:
    assert parse_message(IMAGE, reason, text).kind is kind


def test_host_is_the_one_that_was_asked() -> None:
    lookup = "dial tcp: lookup auth.docker.io on 127.0.0.53:53: no such host"
    assert parse_message(IMAGE, "", f'Get "https://registry-1.docker.io/v2/": {lookup}').host == "auth.docker.io"
    assert parse_message(IMAGE, "", f"{HEAD}: EOF").host == "registry.example.com"
    assert parse_message(IMAGE, "", 'Head "https://localhost:5000/v2/x": EOF').host == "localhost:5000"
    assert parse_message(IMAGE, "", "EOF").host == ""


def test_every_credential_failure_has_a_message() -> None:
    assert {kind for kind, _ in TEXTS if kind in CREDENTIAL_FAILURES} == CREDENTIAL_FAILURES


def test_long_body_in_a_message_is_parsed_quickly() -> None:
    began = time.process_time()
    parsed = parse_message(IMAGE, "ErrImagePull", f"{'a.' * 200_000}: 401 Unauthorized")
    assert parsed.kind is PullFailure.CREDENTIALS
    assert time.process_time() - began < 5
