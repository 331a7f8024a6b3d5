"""Bad input: an error with the reason or an answer, never anything else."""

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhook.pods import body, decided, patched, pod, request, response_to, state
from webhook.decision_cache import DecisionCache
from webhook.mutation import decide
from webhook.review import ReviewError, decode, render_review

APP = "quay.io/acme/app:1"


def review(**fields: Any) -> bytes:
    whole = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request(pod(APP))}
    return json.dumps({key: value for key, value in (whole | fields).items() if value != "absent"}).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not json", "not JSON"),
        (b"\x1f\x8b\x08\x00", "not JSON"),
        (b'{"kind":', "not JSON"),
        (b"[]", "not an AdmissionReview"),
        (b"null", "not an AdmissionReview"),
        (b"7", "not an AdmissionReview"),
        (b"{}", "expected kind AdmissionReview"),
        (review(apiVersion="admission.k8s.io/v1beta1"), "admissionReviewVersions"),
        (review(kind="Pod"), "expected kind AdmissionReview"),
        (review(request="absent"), "request is missing"),
        (review(request=None), "request is missing"),
        (review(request=[]), "request"),
        (review(request=request(pod(APP), uid="")), "request.uid is missing"),
        (review(request=request(pod(APP), uid=None)), "uid"),
        (review(request=request(pod(APP), uid=7)), "uid"),
        (review(request=request("text")), "object"),
        (review(request=request([])), "object"),
        (review(request=request(pod(APP, containers={}))), "containers"),
        (review(request=request(pod(APP, containers=["text"]))), "containers"),
        (review(request=request(pod(APP, containers=[{"image": 7}]))), "image"),
        (review(request=request(pod(APP, imagePullSecrets="text"))), "imagePullSecrets"),
        (review(request=request(pod(APP, imagePullSecrets=["text"]))), "imagePullSecrets"),
        (
            review(request=request(pod(APP) | {"metadata": {"annotations": {"sutler.dev/inject": False}}})),
            "annotations",
        ),
        (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
        (b'{"request":{"object":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", ""),
        (body(pod(APP)).replace(b'"default"', b"NaN", 1), "not JSON"),
        (body(pod(APP)).replace(b"quay.io", b"\xff\xfe"), ""),
        (body(pod(APP)).replace(b"quay.io", b"\\ud800"), ""),
        (body(pod(APP)) + b"{}", "not JSON"),
    ],
)
def test_what_is_no_review_of_a_pod_is_an_error_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ReviewError) as error:
        decode(content)
    assert reason in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": None},
        {"containers": []},
        {"containers": [None]},
        {"containers": [{}]},
        {"containers": [{"image": None}]},
        {"containers": [{"image": ""}]},
        {"volumes": None},
        {"volumes": [None, {}, {"image": None}, {"image": {}}, {"image": {"reference": ""}}]},
        {"imagePullSecrets": [None]},
        {},
    ],
)
def test_nulls_and_empty_things_are_answered_without_a_patch(spec: dict[str, Any]) -> None:
    assert "patch" not in response_to({"spec": spec}, state())


@pytest.mark.parametrize(
    "image",
    [
        "a",
        "A/b",
        "localhost/x",
        "host:5000/x",
        "[::1]:5000/x",
        "[::1]/x",
        "docker.io.evil.com/x",
        "evil.com/docker.io/x",
        "evil.com/quay.io/acme/app",
        "quay.io@evil.com/x",
        "quay.io./acme/app",
        "QUAY.IO/acme/app",
        "xn--quay-abc.io/acme/app",
        "quay.io/acme@sha256:" + "0" * 63,
        " quay.io/acme/app",
        "quay.io/acme/app ",
        "quay.io/acme/\n",
        "https://quay.io/acme/app",
        "quay.io//acme/app",
        "quay.io/acme/app/",
        "quay.io:443/acme/app",
        "é" * 100,
        "\x00",
        "x" * 10_240,
        "quay.io/acme/" + "x" * 10_240,
        "\U0001f40b",
    ],
)
def test_images_that_only_look_like_the_mappings_get_nothing(image: str) -> None:
    assert "patch" not in response_to(pod(image), state())


@pytest.mark.parametrize(
    "image",
    [
        "quay.io/acme",
        "quay.io/acme@sha256:" + "0" * 64,
        "quay.io/acme/app:1@sha256:" + "0" * 64,
        "quay.io/acme/a/b/c/d",
    ],
)
def test_images_in_any_valid_form_get_their_secret(image: str) -> None:
    assert "patch" in response_to(pod(image), state())


def test_ten_thousand_containers_are_answered() -> None:
    before = pod(*(f"quay.io/acme/app-{n}" for n in range(10_000)))
    after = patched(before, response_to(before, state()))
    assert after["spec"]["imagePullSecrets"] == [{"name": "quay-secret"}]


def test_huge_numbers_and_duplicate_keys_do_no_harm() -> None:
    content = body(pod(APP)).replace(b'"status": {}', b'"status": {"n": ' + b"9" * 5000 + b', "n": 1e400, "n": -0}')
    assert decode(content).object is not None
    # The API server's own decoder takes the last of them, too.
    twice = body(pod(APP)).replace(b'"image": "quay.io', b'"image": "nginx", "image": "quay.io')
    decoded = decode(twice).object
    assert decoded is not None
    assert decoded.spec is not None
    assert decoded.spec.images() == (APP,)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
WHOLE: dict[str, Any] = {
    "kind": "AdmissionReview",
    "apiVersion": "admission.k8s.io/v1",
    "request": request(
        pod(APP, volumes=[{"image": {"reference": APP}}], imagePullSecrets=[{"name": "mine"}]),
        subResource="",
        oldObject=pod("nginx"),
    ),
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in the value with every key or position in it."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


@given(st.data(), JSON, st.sampled_from(("CREATE", "UPDATE")))
def test_anything_anywhere_in_a_review_is_an_error_or_an_answer(data: st.DataObject, junk: Any, operation: str) -> None:
    changed = copy.deepcopy(WHOLE)
    changed["request"]["operation"] = operation
    container, key = data.draw(st.sampled_from(list(places(changed))))
    container[key] = junk
    with contextlib.suppress(ReviewError):
        decoded = decode(json.dumps(changed).encode())
        decide(decoded, {}, state(), DecisionCache())


@given(st.integers(0, 4000), st.binary(max_size=4), st.integers(0, 4))
def test_any_damage_to_a_body_is_an_error_or_an_answer(position: int, junk: bytes, removed: int) -> None:
    content = json.dumps(WHOLE).encode()
    position %= len(content)
    with contextlib.suppress(ReviewError):
        decide(decode(content[:position] + junk + content[position + removed :]), {}, state(), DecisionCache())


def test_uid_is_given_back_exactly() -> None:
    for uid in ('"quoted"', "\\", "\u2028é\U0001f40b", "x" * 5000):
        assert json.loads(render_review(uid, b',"allowed":true}}'))["response"]["uid"] == uid


def test_secrets_of_others_are_not_repeated() -> None:
    before = pod(APP)
    before["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": "canary-p4ssw0rd"}]
    assert "canary" not in str(decided(before, state()))
    with pytest.raises(ReviewError) as error:
        decode(body(before).replace(b'"env"', b'"env'))
    assert "canary" not in str(error.value)
