"""What the doctor takes a kubelet's words for. The texts were reported by users of each runtime; names are changed."""

import json
import time
from pathlib import Path

import pytest

from sutler.cli.doctor.kubelet_messages import understood
from sutler.cli.doctor.phrases import OF_CREDENTIALS, PullFailure

IMAGE = "registry.example.com/team/app:1.2"
HEAD = 'failed to do request: Head "https://registry.example.com/v2/team/app/manifests/1.2"'
WORDS: dict[str, list[str]] = json.loads(Path(__file__).with_name("kubelet_words.json").read_text())
TEXTS = [(PullFailure[kind], text) for kind, texts in WORDS.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_words_of_kubelets_and_runtimes_are_understood(kind: PullFailure, text: str) -> None:
    """By themselves, and as newer kubelets repeat them while they back off."""
    assert understood(IMAGE, "ErrImagePull", text).kind is kind
    assert understood(IMAGE, "ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {text}').kind is kind


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
    assert understood(image, "ErrImagePull", text).kind in {PullFailure.NOT_FOUND, PullFailure.DNS}


@pytest.mark.parametrize(
    ("reason", "text", "kind"),
    [
        ("ErrImageNeverPull", "", PullFailure.NEVER),
        ("InvalidImageName", "whatever", PullFailure.NAME),
        ("SignatureValidationFailed", "", PullFailure.SIGNATURE),
        ("RegistryUnavailable", "", PullFailure.SERVER),
        ("RegistryUnavailable", f"{HEAD}: dial tcp 10.0.0.4:443: connect: connection refused", PullFailure.REFUSED),
        ("ImageInspectError", "Failed to inspect image: something", PullFailure.RUNTIME),
        ("ErrImagePull", "", PullFailure.UNKNOWN),
    ],
)
def test_reason_counts_where_the_words_say_less(reason: str, text: str, kind: PullFailure) -> None:
    assert understood(IMAGE, reason, text).kind is kind


def test_host_is_the_one_that_was_asked() -> None:
    lookup = "dial tcp: lookup auth.docker.io on 127.0.0.53:53: no such host"
    assert understood(IMAGE, "", f'Get "https://registry-1.docker.io/v2/": {lookup}').host == "auth.docker.io"
    assert understood(IMAGE, "", f"{HEAD}: EOF").host == "registry.example.com"
    assert understood(IMAGE, "", 'Head "https://localhost:5000/v2/x": EOF').host == "localhost:5000"
    assert understood(IMAGE, "", "EOF").host == ""


def test_pull_secrets_are_looked_at_only_where_words_are_about_them() -> None:
    assert {kind for kind, _ in TEXTS if kind in OF_CREDENTIALS} == OF_CREDENTIALS


def test_long_body_in_the_words_takes_no_time() -> None:
    began = time.process_time()
    said = understood(IMAGE, "ErrImagePull", f"{'a.' * 200_000}: 401 Unauthorized")
    assert said.kind is PullFailure.CREDENTIALS
    assert time.process_time() - began < 5
