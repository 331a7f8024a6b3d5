"""How names of registries, as users write them, are parsed. Pure: no I/O."""

import pytest

from sutler.cli.registry.registry_names import UnusableServerError, parse_server
from sutler.registry.image import parse_image
from sutler.registry.pattern import parse_pattern


@pytest.mark.parametrize(
    ("key", "server", "noted"),
    [
        ("https://quay.io/acme/", "quay.io/acme", ""),
        ("https://reg.example.com/v2/team", "reg.example.com/team", ""),
        ("*.example.com:5000", "*.example.com:5000", ""),
        ("registry.cn-hangzhou.aliyuncs.com/xxxx", "registry.cn-hangzhou.aliyuncs.com/xxxx", ""),
        ("http://172.30.1.1:5000", "172.30.1.1:5000", ""),
        ("image-registry.openshift-image-registry.svc:5000", "image-registry.openshift-image-registry.svc:5000", ""),
        ("[fd00::1]:5000", "[fd00::1]:5000", ""),
        ("quay.io:", "quay.io", ""),
        (" quay.io ", "quay.io", ""),
        # Docker Hub
        ("https://index.docker.io/v1/", "docker.io", ""),
        ("https://index.docker.io/v2/", "docker.io", ""),
        ("index.docker.io", "docker.io", ""),
        ("docker.io/acme", "docker.io/acme", ""),
        ("https://index.docker.io/v1", "docker.io", "docker.io"),
        ("index.docker.io/acme", "docker.io/acme", "docker.io"),
        ("registry.hub.docker.com", "docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io", "docker.io"),
        ("https://registry-1.docker.io/v2/", "docker.io", "docker.io"),
        ("hub.docker.com", "docker.io", "docker.io"),
        ("https://hub.docker.com/r/acme/app/tags", "docker.io/acme/app", "docker.io"),
        ("https://hub.docker.com/_/nginx", "docker.io/library/nginx", "docker.io"),
        ("https://hub.docker.com/repository/docker/acme/app/general", "docker.io/acme/app", "docker.io"),
        ("https://hub.docker.com/orgs/acme/repositories", "docker.io/acme", "docker.io"),
        ("https://registry.hub.docker.com/v1/repositories/acme", "docker.io/acme", "docker.io"),
        ("https://quay.io/repository/acme/app?tab=tags", "quay.io/acme/app", "address of a page"),
        ("quay.io/organization/acme", "quay.io/acme", "address of a page"),
        ("https://acme.jfrog.io/artifactory/docker", "acme.jfrog.io/artifactory/docker", "address of a page"),
        ("Docker.IO", "docker.io", "as images have it"),
        ("docker.io.", "docker.io", "docker.io"),
        ("docker.io:443", "docker.io", "docker.io"),
        ("oci://registry-1.docker.io/acme", "docker.io/acme", "oci://"),
        # what has to be changed
        ("GHCR.io", "ghcr.io", "compares hosts literally"),
        ("ghcr.io/Acme", "ghcr.io/acme", "upper case"),
        ("https://reg.example.com/v2", "reg.example.com", "version of the registry's API"),
        ("https://reg.example.com:5000/v1/", "reg.example.com:5000", ""),
        ("reg.example.com/v2", "reg.example.com", "version of the registry's API"),
        ("docker://quay.io", "quay.io", "docker://"),
        ("HTTPS://quay.io", "quay.io", ""),
        ("//quay.io/acme", "quay.io/acme", "//"),
        ("https://oci://quay.io", "quay.io", "oci://"),
        ("https://robot:hunter2@quay.io/acme", "quay.io/acme", "before @"),
        ("https://quay.io/acme?tab=tags", "quay.io/acme", "after ?"),
        ("quay.io/acme#x", "quay.io/acme", "after #"),
        ("registry.bücher.example", "registry.xn--bcher-kva.example", "as images have it"),
        ("BÜCHER.example:5000", "xn--bcher-kva.example:5000", "as images have it"),
        ("registry.example.com.", "registry.example.com", "as images have it"),
        ("registry.example.com.:5000", "registry.example.com:5000", "as images have it"),
        ("reg.example.com:443", "reg.example.com:443", "written with :443"),
    ],
)
def test_key_becomes_the_registry_that_was_meant(key: str, server: str, noted: str) -> None:
    found = parse_server(key)
    assert found.text == server
    assert noted in found.note
    assert bool(found.note) == bool(noted)
    assert "hunter2" not in found.note
    pattern = parse_pattern(found.text)
    domain = found.text.replace("*", "a").partition("/")[0]
    assert pattern.matches(parse_image(f"{domain}/{pattern.path or 'a'}/b")), "some image matches it"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "empty"),
        ("https://hub.docker.com/v2/users/login", "page of Docker Hub's site"),
        ("https://app.docker.com/", "write docker.io"),
        ("github.com/acme", "write ghcr.io"),
        ("https://gitlab.com/acme/app/container_registry", "write registry.gitlab.com"),
        ("quay.io/acme/*", "globs work in the host only"),
        ("quay.io:x", "port"),
        ("quay.io:99999", "port"),
        ("acme", "docker.io/acme"),
        ("%zz", "hexadecimal"),
        ("quay.io/a:1", "remove the tag"),
        ("my_registry.corp:5000", "underscore"),
        ("registry_1:5000", "underscore"),
        ("*.my_registry.corp", "underscore"),
        ("-registry.example.com", "begin or end with '-'"),
        ("registry-.example.com:5000", "begin or end with '-'"),
        ("registry..example.com", "part of a host name"),
        ("fd00::1", "[fd00::1]:443"),
        ("[fd00::1]", "[fd00::1]:443"),
        ("straße.example", "ASCII"),
        ("https://", "empty"),
        ("quay.io/ acme", "white space"),
        ("https://index.docker.io/v1/access-token", "docker's own token"),
        ("https://index.docker.io/v1/refresh-token", "docker's own token"),
        ("index.docker.io/v1/refresh-token/", "docker's own token"),
        ("http://index.docker.io/v1/access-token", "docker's own token"),
        ("https://index-stage.docker.io/v1/access-token", "docker's own token"),
        ("hub-tool", "hub-tool's own login"),
        ("hub-tool-refresh-token", "hub-tool's own login"),
        ("auth.docker.io", "write docker.io"),
        ("cloud.openshift.com", "not a registry"),
    ],
)
def test_key_that_no_image_can_match_is_refused_with_the_reason(key: str, why: str) -> None:
    with pytest.raises(UnusableServerError) as error:
        parse_server(key)
    assert why in str(error.value)
