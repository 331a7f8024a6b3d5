import pytest

from sutler.registry.image import parse_image
from sutler.registry.pattern import PatternError, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("quay.io/acme", "quay.io/acme"),
        ("quay.io/acme", "quay.io/acme/app:1.0"),
        ("quay.io/acme/", "quay.io/acme/app"),
        ("quay.io/", "quay.io/acme/app"),
        ("quay.io", "quay.io/acme/app"),
        ("docker.io", "nginx"),
        ("docker.io/library", "nginx"),
        ("docker.io/acme", "acme/app"),
        ("*.example.com", "a.example.com/x"),
        ("reg[0-9]-*.example.com", "reg3-eu.example.com/x"),
        ("re?.example.com", "reg.example.com/x"),
        ("*:5000", "registry:5000/x"),
        ("localhost", "localhost/app"),
        ("10.0.*.*:5000", "10.0.3.4:5000/x"),
        ("[fd00::1]:5000", "[fd00::1]:5000/x"),
        ("my_host.lan", "my_host.lan/app"),
        ("registry.cn-hangzhou.aliyuncs.com/xxxx", "registry.cn-hangzhou.aliyuncs.com/xxxx/rbd-rest-api:latest"),
        ("registry-1.docker.io", "registry-1.docker.io/acme/x"),
    ],
)
def test_pattern_matches(pattern: str, image: str) -> None:
    assert parse_pattern(pattern).matches(parse_image(image))


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("quay.io/acme", "quay.io/acmecorp/app"),
        ("quay.io/acme", "quay.io/acm"),
        ("quay.io/acme/app", "quay.io/acme"),
        ("quay.io", "quay.io:443/acme"),
        ("quay.io:443", "quay.io/acme"),
        ("*.example.com", "example.com/x"),
        ("*.example.com", "a.b.example.com/x"),
        ("*.example.com", "a.example.org/x"),
        ("docker.io/nginx", "nginx"),
        ("quay.io/acme", "evil.com/quay.io/acme"),
        ("quay.io", "quay.io.evil.com/x"),
        ("registry.cn-hangzhou.aliyuncs.com/xxxx", "registry.cn-hangzhou.aliyuncs.com/yyyy/rbd-rest-api:latest"),
    ],
)
def test_pattern_does_not_match(pattern: str, image: str) -> None:
    assert not parse_pattern(pattern).matches(parse_image(image))


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("", "expected HOST[:PORT][/PATH]"),
        (" quay.io", "white space"),
        ("https://quay.io/v2/", "write 'quay.io/v2'"),
        ("user@quay.io", "write HOST[:PORT][/PATH]"),
        ("quay.io/acme/app:1.0", "write 'quay.io/acme/app'"),
        ("quay.io/acme/*", "globs work in the host only"),
        ("quay.io/Acme", "lower case"),
        ("quay.io//acme", "no image has the path"),
        ("quay.io/" + "a" * 256, "at most 255"),
        ("GHCR.io/acme", "write 'ghcr.io/acme'"),
        ("index.docker.io/acme", "write 'docker.io/acme'"),
        ("registry/app", "docker.io/registry"),
        ("*", "no pattern for every registry"),
        ("quay.io:*", "not a number from 1 to 65535"),
        ("quay.io:0", "not a number from 1 to 65535"),
        ("quay.io:70000", "not a number from 1 to 65535"),
        ("quay.io:", "not a number from 1 to 65535"),
        ("quay..io", "can't be a part of a host name"),
        (".quay.io", "can't be a part of a host name"),
        ("qu%41y.io", "can't be a part of a host name"),
        ("réseau.example.com", "can't be a part of a host name"),
        ("reg[0-9.example.com", "be closed"),
        ("[a-c].example.com", "write a letter or '*' first"),
        ("reg[0-9].example.com:5000", "write '*' or one entry for each host"),
        ("[a-c]x.example.com:5000", "write a letter or '*' first"),
        ("[fd00::1]", "write [fd00::1]:443"),
    ],
)
def test_pattern_that_can_match_nothing_is_refused_with_advice(pattern: str, advice: str) -> None:
    with pytest.raises(PatternError) as error:
        parse_pattern(pattern)
    assert advice in str(error.value)
