"""What is removed from objects and logs, and what stays for the reader of a bug report."""

import base64
import json
import struct

import pytest

from sutler.cli.support.scrubber import LEFT_OUT, scrub, scrub_text


def cephx(kind: int, length: int) -> str:
    return base64.b64encode(struct.pack("<HIIH", kind, 1_764_000_000, 5, length) + bytes(range(length))).decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIK+/a\nAwEHoUQDQgAE==\n-----END EC PRIVATE KEY-----\n"
SECRETS = {
    "cephx": cephx(1, 16),
    "cephx of Ceph 20": cephx(2, 32),
    "docker config": encoded('{"auths": {"quay.io": {"auth": "dTpw"}}}'),
    "token of an account": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2ln-bmF0dXJl_",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "key": PEM,
    "key in JSON": json.dumps(PEM)[1:-1],
    "key in base64": encoded(PEM),
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("place", ["{}", "got {} and stopped", '{{"message": "{}", "level": "info"}}', "key = {}\n"])
def test_credential_is_recognised_by_its_form(secret: str, place: str) -> None:
    text = scrub_text(place.format(secret))
    assert secret not in text
    assert LEFT_OUT in text
    assert not any(line in text for line in PEM.splitlines())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("proxy http://user:hunter2@proxy.example.com:3128 refused", "http://user:(left out)@proxy.example.com:3128"),
        ('{"auth": "dXNlcjpodW50ZXIy", "email": "a@b"}', '{"auth": "(left out)", "email": "a@b"}'),
        (r"{\"password\":\"hunter2\",\"username\":\"u\"}", r"{\"password\":\"(left out)\",\"username\":\"u\"}"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "Authorization: Basic (left out)"),
        ("'authorization': 'Bearer hunter2'", "'authorization': 'Bearer (left out)'"),
        ("--password=hunter2 --verbose", "--password=(left out) --verbose"),
        ("aws_secret_access_key = hunter2", "aws_secret_access_key = (left out)"),
    ],
)
def test_credential_is_recognised_by_what_is_before_it(text: str, kept: str) -> None:
    assert kept in scrub_text(text)
    assert "hunter2" not in scrub_text(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"event": "copied", "secret": "team-a/aliyun", "mapping": "aliyun", "key": "team-a/aliyun"}',
        '{"token": "ecr-production", "expires": "2026-11-28T08:00:00Z"}',
        "https://registry.example.com:5000/v2/team/app@sha256:" + "0" * 64,
        "the API server uses basic authentication and bearer tokens",
        encoded("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
        "csi-vol-7f0b6a3e-6a3e-4c3e-9a3e-7f0b6a3e6a3e 0001-0009-rook-ceph-0000000000000001",
    ],
)
def test_what_a_reader_needs_stays(text: str) -> None:
    assert scrub_text(text) == text


def test_unknown_annotations_variables_and_parameters_keep_their_names_only() -> None:
    container = {
        "name": "volumes",
        "env": [
            {"name": "SUTLER_CEPH_USER", "value": "sutler"},
            {"name": "SUTLER_TOKEN_FILE", "value": "/etc/tokens"},
            {"name": "SUTLER_API_TOKEN", "value": "hunter2"},
            {"name": "HTTPS_PROXY", "value": "hunter2"},
            {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        ],
        "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "X-Auth", "value": "hunter2"}]}},
    }
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "a",
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "hunter2",
                "vault.example.com/agent": "hunter2",
                "plain": "hunter2",
                "not-sutler.dev.example.com/a": "hunter2",
                "sutler.dev/inject": "false",
                "volume.kubernetes.io/selected-node": "node-1",
            },
        },
        "spec": {"containers": [container]},
    }
    shown = scrub(pod)
    assert "hunter2" not in json.dumps(shown)
    assert "managedFields" not in shown["metadata"]
    assert shown["metadata"]["annotations"].keys() == pod["metadata"]["annotations"].keys()  # type: ignore[index] # a literal
    assert shown["metadata"]["annotations"]["sutler.dev/inject"] == "false"
    assert shown["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "node-1"
    variables = {each["name"]: each.get("value") for each in shown["spec"]["containers"][0]["env"]}
    assert variables == {
        "SUTLER_CEPH_USER": "sutler",
        "SUTLER_TOKEN_FILE": "/etc/tokens",
        "SUTLER_API_TOKEN": LEFT_OUT,
        "HTTPS_PROXY": LEFT_OUT,
        "FROM": None,
    }
    parameters = {
        "pool": "rbd",
        "adminSecretName": "ceph",
        "csi.storage.k8s.io/fstype": "ext4",
        "restuserkey": "hunter2",
    }
    assert scrub({"parameters": parameters})["parameters"] == parameters | {"restuserkey": LEFT_OUT}
