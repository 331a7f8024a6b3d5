"""`sutler registry` add, import, list and remove on a real API server."""

import base64
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sutler.cli.registry.list_rows import no_such_mapping
from tests.cli.conftest import Run, Sutler
from tests.cluster import ControlPlane

ADD = ("registry", "add", "quay.io/acme", "--username", "UserName", "--password-stdin")


def source(control_plane: ControlPlane, namespace: str, name: str) -> dict[str, Any]:
    """The docker config in a source Secret."""
    secret = control_plane.kubectl_json("get", "secret", name, "-n", namespace)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    config: dict[str, Any] = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return config


def test_add_makes_the_secret_and_the_mapping(sutler: Sutler, control_plane: ControlPlane, namespace: str) -> None:
    ran = sutler(*ADD, "-o", "json", stdin="Password\n")
    assert ran.status == 0, ran.err
    assert ran.json["changes"] == {"secret": "created", "mapping": "created"}
    mapping = control_plane.kubectl_json("get", "regmap", "quay-io-acme")
    assert mapping["spec"] == {
        "registries": ["quay.io/acme"],
        "pullSecret": {"name": "quay-io-acme", "copyFrom": "quay-io-acme-credentials", "copies": "Eager"},
        "namespaceSelector": {},
        "mode": "Inject",
    }
    auths = source(control_plane, namespace, "quay-io-acme-credentials")["auths"]
    assert auths == {"quay.io/acme": {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="}}


def test_add_says_for_which_namespaces(sutler: Sutler) -> None:
    assert "every namespace" in sutler(*ADD, stdin="Password").out


def test_add_again_changes_nothing_or_rotates(sutler: Sutler, control_plane: ControlPlane, namespace: str) -> None:
    sutler(*ADD, "--namespaces", "team=a", stdin="Password")
    again = sutler(*ADD, "-o", "json", stdin="Password")
    assert again.json["changes"] == {"secret": "unchanged", "mapping": "unchanged"}
    rotated = sutler(*ADD, "-o", "json", stdin="hunter2")
    assert rotated.json["changes"] == {"secret": "changed", "mapping": "unchanged"}
    assert rotated.json["namespaceSelector"] == {"matchLabels": {"team": "a"}}
    auth = source(control_plane, namespace, "quay-io-acme-credentials")["auths"]["quay.io/acme"]["auth"]
    assert base64.b64decode(auth) == b"UserName:hunter2"


def test_rotation_in_a_secret_of_several_registries_leaves_the_others(
    sutler: Sutler, control_plane: ControlPlane, namespace: str
) -> None:
    """The Secret was made by hand, in the old form, and a mapping copies it."""
    old = json.dumps({"https://quay.io/acme": {"auth": "YTpi"}, "ghcr.io": {"auth": "YzpkOmU="}})
    control_plane.kubectl(
        "create",
        "secret",
        "generic",
        "by-hand",
        "-n",
        namespace,
        "--type=kubernetes.io/dockercfg",
        f"--from-literal=.dockercfg={old}",
    )
    spec = {
        "registries": ["quay.io/acme", "ghcr.io"],
        "pullSecret": {"name": "pull", "copyFrom": "by-hand"},
        "namespaceSelector": {},
    }
    mapping = {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": "two"},
        "spec": spec,
    }
    control_plane.kubectl("create", "-f", "-", input=json.dumps(mapping))
    ran = sutler(*ADD, "-o", "json", stdin="Password")
    assert (ran.json["mapping"], ran.json["pullSecret"]) == ("two", "pull")
    secret = control_plane.kubectl_json("get", "secret", "by-hand", "-n", namespace)
    assert secret["type"] == "kubernetes.io/dockercfg"
    assert json.loads(base64.b64decode(secret["data"][".dockercfg"])) == {
        "ghcr.io": {"auth": "YzpkOmU="},
        "quay.io/acme": {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="},
    }


def test_add_changes_namespaces_only_when_the_mapping_is_named(sutler: Sutler, control_plane: ControlPlane) -> None:
    sutler(*ADD, "--namespaces", "team=a,stage", stdin="Password")
    refused = sutler(*ADD, "--namespaces", "team=b", stdin="Password")
    assert refused.status == 1
    assert "--name quay-io-acme" in refused.err
    named = sutler(*ADD, "--namespaces", "team notin (c,d)", "--name", "quay-io-acme", stdin="Password")
    assert named.status == 0, named.err
    selector = control_plane.kubectl_json("get", "regmap", "quay-io-acme")["spec"]["namespaceSelector"]
    assert selector == {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["c", "d"]}]}


def test_add_never_overwrites_foreign_objects(sutler: Sutler, control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl(
        "create", "secret", "generic", "quay-io-acme-credentials", "-n", namespace, "--from-literal=a=b"
    )
    ran = sutler(*ADD, stdin="Password")
    assert ran.status == 1
    assert "conflicts" in ran.err
    assert control_plane.kubectl("get", "regmap", "-o", "name") == ""
    taken = sutler(
        "registry", "add", "ghcr.io", "--name", "mine", "--username", "u", "--password-stdin", stdin="hunter2"
    )
    assert taken.status == 0, taken.err
    other = sutler(
        "registry", "add", "quay.io", "--name", "mine", "--username", "u", "--password-stdin", stdin="hunter2"
    )
    assert other.status == 1
    assert "mapping mine matches ghcr.io" in other.err


def test_add_reports_that_no_namespace_is_selected(sutler: Sutler) -> None:
    ran = sutler(*ADD, "--namespaces", "team-a", stdin="Password")
    assert ran.status == 0, ran.err
    assert "(0 now)" in ran.out
    assert "kubectl label namespace NAME KEY=VALUE" in ran.out


def test_add_for_namespaces_by_name_says_how_to_give_them_the_label(
    sutler: Sutler, control_plane: ControlPlane, team: str
) -> None:
    """Kubernetes sets it since 1.21 only. What is advised works."""
    by_name = ("--namespaces", f"kubernetes.io/metadata.name in ({team})")
    control_plane.kubectl("label", "namespace", team, "kubernetes.io/metadata.name-")
    ran = sutler(*ADD, *by_name, stdin="Password")
    if "(0 now)" in ran.out:
        advice = ran.out.partition("Set it: kubectl ")[2].partition("\n")[0]
        control_plane.kubectl(*shlex.split(advice))
    assert "(1 now)" in sutler(*ADD, stdin="Password").out


@pytest.mark.parametrize(
    ("server", "stdin", "said"),
    [
        ("quay.io/acme", "", "the password is empty"),
        ("quay.io/acme/*", "hunter2", "globs work in the host only"),
        ("quay.io:x", "hunter2", "port"),
        ("quay", "hunter2", "docker.io/quay"),
        ("quay.io", " \n", "the password is empty"),
        ("my_registry:5000", "hunter2", "underscore"),
        ("https://u:hunter2@quay.io/acme", "hunter2", "must not contain a user name or a password"),
        ("https://index.docker.io/v1/refresh-token", "hunter2", "docker's own token"),
        ("registry.b\u00fccher.stra\u00dfe", "hunter2", "registry.b\u00fccher.stra\u00dfe"),
    ],
)
def test_add_with_nonsense_is_wrong_usage(offline: Run, server: str, stdin: str, said: str) -> None:
    ran = offline("registry", "add", server, "--username", "u", "--password-stdin", stdin=stdin)
    assert ran.status == 2
    assert said in ran.err


@pytest.mark.parametrize("username", ["a:hunter2", "", " ", "robot\n"])
def test_add_refuses_a_user_name_that_no_registry_can_get(offline: Run, username: str) -> None:
    ran = offline("registry", "add", "quay.io", "--username", username, "--password-stdin", stdin="Password")
    assert ran.status == 2
    assert "--username" in ran.err


def test_add_says_what_it_made_of_the_server(sutler: Sutler) -> None:
    ran = sutler("registry", "add", "https://registry-1.docker.io/v2/", "-u", "u", "--password-stdin", stdin="hunter2")
    assert ran.status == 0, ran.err
    assert "Note: registry-1.docker.io is now docker.io" in ran.out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_import_reads_what_windows_tools_save(offline: Run, tmp_path: Path, encoding: str) -> None:
    config = tmp_path / "config.json"
    config.write_bytes('{"auths": {"quay.io": {"auth": "YTpi"}}}'.encode(encoding))
    ran = offline("registry", "import", str(config), "--dry-run", "-o", "json")
    assert [each["server"] for each in ran.json["found"]] == ["quay.io"], ran.err


def test_import_advises_a_password_for_what_one_would_help(offline: Run) -> None:
    auths = {
        "quay.io": {"auth": "YTpi"},
        "https://quay.io": {"auth": "YTpj"},
        "https://index.docker.io/v1/access-token": {},
    }
    duplicate = offline("registry", "import", "-", "--dry-run", stdin=json.dumps({"auths": auths}))
    assert "registry add" not in duplicate.out
    helped = offline("registry", "import", "-", "--dry-run", stdin='{"credHelpers": {"gcr.io": "gcloud"}}')
    assert "To add with a password: sutler registry add" in helped.out


def test_add_without_a_terminal_wants_the_password_on_standard_input(offline: Run) -> None:
    ran = offline("registry", "add", "quay.io", "--username", "u")
    assert ran.status == 2
    assert "--password-stdin" in ran.err


def test_import_adds_what_it_can_and_lists_the_rest(
    sutler: Sutler, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "auths": {
                    "https://index.docker.io/v1/": {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="},
                    "GHCR.io/acme/": {"username": "u", "password": "hunter2"},
                    "quay.io": {},
                    "token.example.com": {"identitytoken": "s3cr3t-t0ken"},
                },
                "credHelpers": {"gcr.io": "gcloud"},
                "HttpHeaders": {"User-Agent": "docker"},
            }
        )
    )
    dry = sutler("registry", "import", str(config), "--dry-run")
    assert dry.status == 1
    assert control_plane.kubectl("get", "regmap", "-o", "name") == ""
    ran = sutler("registry", "import", str(config), "-o", "json")
    assert ran.status == 1, "something was left out"
    assert [each["server"] for each in ran.json["added"]] == ["docker.io", "ghcr.io/acme"]
    left = {each["key"]: each["why"] for each in ran.json["left"]}
    assert set(left) == {"quay.io", "token.example.com", "gcr.io"}
    assert "docker-credential-gcloud" in left["gcr.io"]
    assert "token" in left["token.example.com"]
    assert source(control_plane, namespace, "docker-io-credentials")["auths"].keys() == {"docker.io"}
    assert source(control_plane, namespace, "ghcr-io-acme-credentials")["auths"].keys() == {"ghcr.io/acme"}
    again = sutler("registry", "import", str(config), "-o", "json")
    assert all(set(each["changes"].values()) == {"unchanged"} for each in again.json["added"])


def test_import_gives_registries_whose_names_look_alike_names_of_their_own(
    sutler: Sutler, control_plane: ControlPlane
) -> None:
    """Three would be called the same, and the name of one is taken."""
    servers = ("quay.io/a-b", "quay.io/a/b", "quay.io.a/b", "ghcr.io/acme")
    sutler("registry", "add", "y.example.com", "--name", "ghcr-io-acme", "-u", "u", "--password-stdin", stdin="p")
    config = json.dumps({"auths": {server: {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="} for server in servers}})
    ran = sutler("registry", "import", "-", "-o", "json", stdin=config)
    assert ran.status == 0, ran.err
    assert [each["server"] for each in ran.json["added"]] == list(servers)
    names = [each["mapping"] for each in ran.json["added"]]
    assert names[0] == "quay-io-a-b"
    assert len(set(names)) == 4
    for name, server in zip(names, servers, strict=True):
        assert control_plane.kubectl_json("get", "regmap", name)["spec"]["registries"] == [server]
    again = sutler("registry", "import", "-", "-o", "json", stdin=config)
    assert [each["mapping"] for each in again.json["added"]] == names
    assert all(set(each["changes"].values()) == {"unchanged"} for each in again.json["added"])


def test_import_of_a_refused_registry_adds_the_others(
    sutler: Sutler, control_plane: ControlPlane, namespace: str
) -> None:
    """A Secret has the name of the first, and what is advised works."""
    control_plane.kubectl("create", "secret", "generic", "ghcr-io-credentials", "-n", namespace, "--from-literal=a=b")
    config = json.dumps({"auths": {key: {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="} for key in ("ghcr.io", "z.example.com")}})
    ran = sutler("registry", "import", "-", "-o", "json", stdin=config)
    assert ran.status == 1, ran.err
    assert [each["server"] for each in ran.json["added"]] == ["z.example.com"]
    (left,) = ran.json["left"]
    advice = left["why"].partition("sutler ")[2].replace("ANOTHER", "mine").replace("NAME", "u")
    assert sutler(*shlex.split(advice), stdin="hunter2").status == 0
    assert control_plane.kubectl_json("get", "regmap", "mine")["spec"]["registries"] == ["ghcr.io"]


def test_add_to_an_immutable_secret_says_what_to_type(
    sutler: Sutler, control_plane: ControlPlane, namespace: str, environ: dict[str, str]
) -> None:
    sutler(*ADD, stdin="Password")
    patch = ("patch", "secret", "quay-io-acme-credentials", "-n", namespace, "-p")
    control_plane.kubectl(*patch, '{"immutable":true}')
    assert sutler(*ADD, stdin="Password").status == 0, "nothing is to be changed"
    ran = sutler(*ADD, stdin="hunter2")
    assert ran.status == 1
    assert "is immutable" in ran.err
    kubeconfig = {**environ, "KUBECONFIG": str(control_plane.kubeconfig)}
    subprocess.run(["bash", "-ec", ran.err.partition("try again: ")[2]], env=kubeconfig, check=True)
    assert source(control_plane, namespace, "quay-io-acme-credentials")["auths"].keys() == {"quay.io/acme"}
    assert sutler(*ADD, stdin="hunter2").status == 0


def test_add_of_more_than_a_secret_holds_is_refused_before_it_is_tried(
    sutler: Sutler, control_plane: ControlPlane
) -> None:
    ran = sutler(*ADD, stdin="x" * 800_000)
    assert ran.status == 1
    assert "at most 1048576" in ran.err
    assert control_plane.kubectl("get", "regmap", "-o", "name") == ""


def test_import_takes_the_old_form_on_standard_input(sutler: Sutler) -> None:
    old = json.dumps({"registry.cn-hangzhou.aliyuncs.com/xxxx": {"auth": "VXNlck5hbWU6UGFzc3dvcmQ=", "email": "a@b.c"}})
    ran = sutler("registry", "import", "-", "-o", "json", stdin=old)
    assert ran.status == 0, ran.err
    assert ran.json["added"][0]["mapping"] == "registry-cn-hangzhou-aliyuncs-com-xxxx"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not JSON"),
        ('{"auths": {"a.b": {"auth": "hunter2"}}', "not JSON"),
        ('{"auths": {"a.b": {"auth": "hunter2"}}}garbage', "not JSON (line 1, column 40)"),
        ("auths: [", "not JSON"),
        ("kind: Pod\nmetadata: {name: x}", "is a 'Pod', expected docker's config.json"),
        ("kind: SealedSecret\nspec: {}", "its controller creates a Secret"),
        ("kind: ExternalSecret\nspec: {}", "in another system"),
        ("kind: Secret\ndata: {password: aHVudGVyMg==}", "a Secret without a docker config"),
        ("kind: Secret\ndata: {.dockerconfigjson: '!'}", "data[.dockerconfigjson] is not base64"),
        ('{"quay.io": "hunter2"}', "is not a docker config"),
        ("[]", "not a JSON object"),
        ('{"auths": 3}', "not an object"),
        ('{"auths":' * 5000 + "1" + "}" * 5000, "nested too deeply"),
        ('{"auths":' * 200 + "1" + "}" * 200, "nested too deeply"),
        ('{"auths":' + '["' * 2 + '\\"' * 500_000, "not JSON (line 1"),
    ],
)
def test_import_of_a_broken_file_adds_nothing(offline: Run, content: str, said: str) -> None:
    ran = offline("registry", "import", "-", stdin=content)
    assert ran.status == 2
    assert said in ran.err


def test_import_names_a_key_that_cannot_be_printed(offline: Run) -> None:
    ran = offline("registry", "import", "-", "--dry-run", stdin='{"auths": {"\\ud800": {"auth": "YTpi"}}}')
    assert (ran.status, ran.err) == (1, "")
    assert "?: skipped" in ran.out


def test_list_shows_registries_and_their_state(sutler: Sutler) -> None:
    assert "No registries yet" in sutler("registry", "list").out
    sutler(*ADD, "--namespaces", "team in (a,b)", stdin="Password")
    listed = sutler("registry", "list")
    assert listed.status == 0
    heading, row = listed.out.splitlines()
    assert heading.startswith("NAME")
    assert row.split()[:4] == ["quay-io-acme", "quay.io/acme", "quay-io-acme", "quay-io-acme-credentials"]
    assert "team in (a,b)" in row
    assert sutler("registry", "list", "-o", "json").json[0]["namespaceSelector"]["matchExpressions"][0]["key"] == "team"


def test_remove_takes_the_mapping_and_the_secret_that_add_made(
    sutler: Sutler, control_plane: ControlPlane, namespace: str
) -> None:
    sutler(*ADD, stdin="Password")
    ran = sutler("registry", "remove", "quay-io-acme")
    assert ran.status == 0, ran.err
    assert control_plane.kubectl("get", "regmap", "-o", "name") == ""
    assert "credentials" not in control_plane.kubectl("get", "secret", "-n", namespace, "-o", "name")


def test_remove_leaves_secrets_of_others_and_shared_ones(
    sutler: Sutler, control_plane: ControlPlane, namespace: str
) -> None:
    sutler(*ADD, stdin="Password")
    mapping = control_plane.kubectl_json("get", "regmap", "quay-io-acme")
    mapping["metadata"] = {"name": "second"}
    control_plane.kubectl("create", "-f", "-", input=json.dumps(mapping))
    first = sutler("registry", "remove", "quay-io-acme")
    assert "second copies it too" in first.out
    second = sutler("registry", "remove", "second")
    assert "sutler registry add did not create it" in second.out, "it was made for the other mapping"
    assert "quay-io-acme-credentials" in control_plane.kubectl("get", "secret", "-n", namespace, "-o", "name")


def test_remove_of_an_unknown_name_removes_nothing(sutler: Sutler, control_plane: ControlPlane) -> None:
    sutler(*ADD, stdin="Password")
    ran = sutler("registry", "remove", "quay-io-acme", "typo")
    assert ran.status == 1
    assert "existing mappings: quay-io-acme" in ran.err
    assert "quay-io-acme" in control_plane.kubectl("get", "regmap", "-o", "name")


def test_cluster_that_is_away_is_status_3(offline: Run) -> None:
    ran = offline("registry", "list")
    assert ran.status == 3
    assert "does not exist" in ran.err


def test_names_that_there_are_are_named_but_not_all_of_ten_thousand() -> None:
    assert no_such_mapping(["typo"], []) == "there is no mapping typo; no mappings exist"
    assert no_such_mapping(["typo"], ["b", "a"]) == "there is no mapping typo; existing mappings: a, b"
    assert no_such_mapping(["typo"], map(str, range(10_000))).endswith("and 9990 more (sutler registry list)")
