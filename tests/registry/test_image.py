import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sutler.registry.image import ImageError, ImageReference, parse_image

CASES = json.loads((Path(__file__).parent / "kubelet_cases.json").read_text())
SHA256 = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("acme/app", "docker.io/acme/app"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/x", "docker.io/library/x"),
        ("index.docker.io/acme/x", "docker.io/acme/x"),
        ("registry-1.docker.io/acme/x", "registry-1.docker.io/acme/x"),
        ("localhost/app", "localhost/app"),
        ("localhost", "docker.io/library/localhost"),
        ("registry/app", "docker.io/registry/app"),
        ("registry:5000/app", "registry:5000/app"),
        ("Acme/app", "Acme/app"),
        ("quay.io", "docker.io/library/quay.io"),
        ("[fd00::1]:5000/app", "[fd00::1]:5000/app"),
        ("[::1]/app", "[::1]/app"),
        ("docker.io.evil.com/x", "docker.io.evil.com/x"),
        ("evil.com/docker.io/x", "evil.com/docker.io/x"),
        ("xn--p1ai.example/app", "xn--p1ai.example/app"),
        ("my_host.lan/app", "my_host.lan/app"),
        ("a/b", "docker.io/a/b"),
        ("a", "docker.io/library/a"),
        ("0" * 63, "docker.io/library/" + "0" * 63),
        ("a__b/c.d/e---f", "docker.io/a__b/c.d/e---f"),
        ("x/" + "a" * 253, "docker.io/x/" + "a" * 253),
        ("registry.example.com/" + "a" * 255, "registry.example.com/" + "a" * 255),
    ],
)
def test_parse_image_names_the_repository(text: str, name: str) -> None:
    assert parse_image(text).name == name


@pytest.mark.parametrize(
    ("text", "tag", "digest"),
    [
        ("foo.bar:5000", "5000", ""),
        ("quay.io/acme/app:1.0", "1.0", ""),
        (f"quay.io/acme/app@{SHA256}", "", SHA256),
        (f"quay.io/acme/app:1.0@{SHA256}", "1.0", SHA256),
        ("quay.io/a@sha512:" + "0" * 128, "", "sha512:" + "0" * 128),
        ("quay.io/a:" + "t" * 128, "t" * 128, ""),
        ("quay.io/a:A_b-c.d", "A_b-c.d", ""),
    ],
)
def test_parse_image_splits_off_tag_and_digest(text: str, tag: str, digest: str) -> None:
    image = parse_image(text)
    assert (image.tag, image.digest) == (tag, digest)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        (" nginx", "white space"),
        ("nginx\n", "white space"),
        ("https://quay.io/a", "scheme"),
        ("f" * 64, "image's ID"),
        ("A/b/C", "lower case"),
        ("quay.io/Acme/app", "lower case"),
        ("Nginx", "lower case"),
        ("quay.io//a", "empty part"),
        ("quay.io/a/", "empty part"),
        ("/a", "empty part"),
        ("example.com./x", "expected [HOST"),
        ("-a.example.com/x", "expected [HOST"),
        ("registry.example.com@evil.com/x", "expected [HOST"),
        ("quay.io/a:" + "t" * 129, "expected [HOST"),
        ("quay.io/a:-t", "expected [HOST"),
        ("quay.io/é", "expected [HOST"),
        ("quay.io/a@sha256:" + "a" * 63, "digest"),
        ("quay.io/a@sha256:" + "A" * 64, "digest"),
        ("quay.io/a@md5:" + "a" * 32, "digest"),
        ("quay.io/a@sha256:short", "expected [HOST"),
        ("quay.io/" + "a" * 256, "256 characters"),
        ("a" * 248, "256 characters"),
        ("a" * 10_000, "10008 characters"),
    ],
)
def test_parse_image_refuses_what_the_kubelet_refuses_and_says_why(text: str, rule: str) -> None:
    with pytest.raises(ImageError) as error:
        parse_image(text)
    assert rule in str(error.value)
    assert len(str(error.value)) < 400
    assert str(error.value).isprintable()


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case[0]))
def test_parse_image_agrees_with_the_kubelet(case: tuple[str, list[str] | None, list[str], list[str]]) -> None:
    text, expected, _, _ = case
    if expected is None:
        with pytest.raises(ImageError):
            parse_image(text)
    else:
        assert parse_image(text) == ImageReference(*expected)


@given(st.text(max_size=60) | st.from_regex(r"[a-zA-Z0-9.:/@_\[\]-]{0,80}", fullmatch=True))
def test_parse_image_gives_an_image_whose_name_is_normal_or_an_error(text: str) -> None:
    try:
        image = parse_image(text)
    except ImageError:
        return
    assert parse_image(image.name).name == image.name
    assert image.name.endswith(text.partition("@")[0].partition("/")[2].partition(":")[0])
