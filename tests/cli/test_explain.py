"""`sutler explain`, from files without a cluster, and on a real API server."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Ran, Run, Sutler
from tests.cluster import ControlPlane

AUTH = {"auth": "VXNlck5hbWU6UGFzc3dvcmQ="}
Json = dict[str, Any]


def mapping(name: str, *registries: str, selector: Json | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": "sutler.dev/v1alpha1",
        "kind": "RegistryMapping",
        "metadata": {"name": name},
        "spec": {
            "registries": list(registries),
            "pullSecret": {"name": f"{name}-pull", "copyFrom": f"{name}-source"},
            "namespaceSelector": selector or {},
            **spec,
        },
    }


def secret(name: str, *keys: str, namespace: str | None = None, **fields: Any) -> Json:
    config = json.dumps({"auths": dict.fromkeys(keys, AUTH)})
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    whole = {"kind": "Secret", "metadata": metadata, "type": "kubernetes.io/dockerconfigjson", "data": data}
    return {"apiVersion": "v1", **whole, **fields}


def pod(*images: str, **more: Any) -> Json:
    containers = [{"name": f"c{n}", "image": image} for n, image in enumerate(images)]
    spec = {"containers": containers, **more.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", **more}, "spec": spec}


def explain(sutler: Run, *arguments: str, objects: list[Json]) -> Ran:
    """With the objects on standard input."""
    content = json.dumps({"kind": "List", "apiVersion": "v1", "items": objects})
    return sutler("explain", *arguments, "-f", "-", "-o", "json", stdin=content)


def test_key_is_named_in_the_kubelets_order(offline: Run) -> None:
    objects = [
        mapping("host", "quay.io"),
        secret("host-source", "quay.io"),
        mapping("team", "quay.io/acme"),
        secret("team-source", "quay.io/acme", "ghcr.io"),
    ]
    ran = explain(offline, "quay.io/acme/app:1", objects=objects)
    assert ran.status == 0, ran.out
    found = ran.json[0]
    assert found["name"] == "quay.io/acme/app"
    assert [each["name"] for each in found["mappings"]] == ["team", "host"]
    assert [(each["key"], each["secret"]) for each in found["tries"]] == [
        ("quay.io/acme", "team-pull"),
        ("quay.io", "host-pull"),
    ]
    assert found["pullSecrets"][0]["keys"] == ["quay.io/acme"], "ghcr.io is not copied"


@pytest.mark.parametrize(
    ("key", "image", "write"),
    [
        ("quay.io/acme/app/", "quay.io/acme/app", "quay.io/acme/app"),
        ("reg.example.com:443", "reg.example.com/app", "reg.example.com"),
        ("GHCR.io", "ghcr.io/app", "ghcr.io"),
        ("index.docker.io/acme", "acme/app", "docker.io/acme"),
        ("quay.io/acme/*", "quay.io/acme/app", "quay.io/acme"),
        ("quay.io/acme/app:1", "quay.io/acme/app:1", "quay.io/acme/app"),
    ],
)
def test_near_miss_in_a_docker_config_is_a_problem(
    offline: Run, tmp_path: Path, key: str, image: str, write: str
) -> None:
    """The file of `docker login`, as the field report's first way had it."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {key: AUTH}}))
    ran = offline("explain", image, "-f", str(config))
    assert ran.status == 1
    assert f"write {write}" in ran.out
    right = json.loads(config.read_text().replace(json.dumps(key), json.dumps(write)))
    config.write_text(json.dumps(right))
    assert offline("explain", image, "-f", str(config)).status == 0


def test_sibling_path_is_shown_and_is_no_problem(offline: Run) -> None:
    ran = explain(offline, "quay.io/prometheus/node", objects=[mapping("team", "quay.io/acme"), secret("x", "ghcr.io")])
    assert ran.status == 0
    (miss,) = ran.json[0]["nearMisses"]
    assert "another path" in miss["why"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_images_of_what_makes_pods_are_explained(offline: Run, kind: str) -> None:
    template = {
        "spec": {
            "initContainers": [{"name": "i", "image": "quay.io/acme/init"}],
            "containers": [{"name": "c", "image": "quay.io/acme/app"}],
            "volumes": [{"name": "v", "image": {"reference": "quay.io/acme/data:1"}}, {"name": "w", "emptyDir": {}}],
        }
    }
    spec = {"template": template} if kind != "CronJob" else {"jobTemplate": {"spec": {"template": template}}}
    objects = [
        {"kind": kind, "metadata": {"name": "web", "namespace": "team-a"}, "spec": spec},
        mapping("q", "quay.io"),
    ]
    ran = explain(offline, objects=objects)
    assert [(each["image"], each["where"]) for each in ran.json] == [
        ("quay.io/acme/init", "init container i"),
        ("quay.io/acme/app", "container c"),
        ("quay.io/acme/data:1", "image volume v"),
    ]
    assert {each["namespace"] for each in ran.json} == {"team-a"}
    assert all(each["mappings"][0]["injected"] for each in ran.json)


@pytest.mark.parametrize(
    ("image", "objects", "why"),
    [
        ("", [pod("quay.io/x", labels={"sutler.dev/inject": "false"})], "opts out by the label"),
        ("", [pod("quay.io/x", annotations={"sutler.dev/inject": "false"})], "opts out by the annotation"),
        ("", [pod("quay.io/x", annotations={"kubernetes.io/config.mirror": "a"})], "mirror of a static Pod"),
        ("", [pod("quay.io/x", namespace="kube-system")], "is excluded from the webhook"),
        (
            "quay.io/x",
            [{"kind": "Namespace", "metadata": {"name": "default", "labels": {"sutler.dev/exclude": "true"}}}],
            "is excluded from the webhook",
        ),
        (
            "quay.io/x",
            [
                {
                    "kind": "ServiceAccount",
                    "metadata": {"name": "default", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
                }
            ],
            "ServiceAccount default rejects",
        ),
    ],
)
def test_secret_that_is_withheld_is_explained(offline: Run, image: str, objects: list[Json], why: str) -> None:
    ran = explain(offline, *([image] if image else []), objects=[*objects, mapping("q", "quay.io")])
    (match,) = ran.json[0]["mappings"]
    assert not match["injected"]
    assert why in match["why"]
    assert ran.json[0]["pullSecrets"] == []


def test_namespace_that_is_not_selected_is_explained(offline: Run) -> None:
    selected = mapping("q", "quay.io", selector={"matchLabels": {"team": "a"}})
    for labels, injected, why in (
        ({"team": "b"}, False, "does not select"),
        (None, False, "add its Namespace"),
        ({"team": "a"}, True, None),
    ):
        known = [{"kind": "Namespace", "metadata": {"name": "default", "labels": labels}}] if labels else []
        (match,) = explain(offline, "quay.io/x", objects=[selected, *known]).json[0]["mappings"]
        assert match["injected"] is injected
        assert why is None or why in match["why"]


@pytest.mark.parametrize(
    ("objects", "status"),
    [
        ([mapping("q", "quay.io", mode="Observe"), secret("q-source", "quay.io")], 1),
        ([mapping("q", "quay.io", selector={"matchLabels": {"kubernetes.io/metadata.name": "x"}})], 1),
        (
            [
                mapping("q", "quay.io"),
                {"kind": "Namespace", "metadata": {"name": "default", "labels": {"sutler.dev/exclude": "true"}}},
            ],
            1,
        ),
        ([mapping("q", "quay.io", selector={"matchLabels": {"team": "a"}})], 0),
        (
            [mapping("q", "quay.io", mode="Observe"), mapping("r", "quay.io/acme"), secret("r-source", "quay.io/acme")],
            0,
        ),
    ],
)
def test_image_without_the_credential_of_a_mapping_that_matches_is_a_problem(
    offline: Run, objects: list[Json], status: int
) -> None:
    """As one without the credential of a mapping that nearly does. What is not known is no problem."""
    ran = explain(offline, "quay.io/acme/x", objects=objects)
    assert ran.status == status
    assert [("mapping q matches but is not injected" in problem) for problem in ran.json[0]["problems"]] == [
        True
    ] * status


def test_pod_that_opts_out_has_no_problem(offline: Run) -> None:
    objects = [
        mapping("q", "quay.io"),
        secret("q-source", "quay.io"),
        pod("quay.io/x", labels={"sutler.dev/inject": "false"}),
    ]
    assert explain(offline, objects=objects).status == 0


@pytest.mark.parametrize(
    ("key", "image", "write"),
    [
        ("https://index.docker.io/v1", "acme/app", "https://index.docker.io/v1/"),
        ("registry-1.docker.io", "acme/app", "docker.io"),
        ("quay.io:443", "quay.io/acme/app", "quay.io"),
        ("QUAY.io/acme", "quay.io/acme/app", "quay.io/acme"),
    ],
)
def test_key_of_a_source_that_nearly_matches_is_named(offline: Run, key: str, image: str, write: str) -> None:
    """It is copied for no registry of the mapping."""
    registry = "docker.io/acme" if image == "acme/app" else "quay.io"
    for held in ([key], [key, f"{registry}/other"]):
        ran = explain(offline, image, objects=[mapping("q", registry), secret("q-source", *held)])
        assert ran.status == 1
        misses = {each["of"]: each["write"] for each in ran.json[0]["nearMisses"] if each["text"] == key}
        assert misses == {"key of source q-source": write}


def test_objects_that_are_there_twice_in_a_config_count_twice(offline: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"auths": {"quay.io": {"auth": "YTpi"}}, "Auths": {"ghcr.io": {"auth": "YTpi"}}}')
    assert [
        each["tries"][0]["key"]
        for each in offline("explain", "quay.io/x", "ghcr.io/x", "-f", str(config), "-o", "json").json
    ] == ["quay.io", "ghcr.io"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_of_windows_tools_are_read(offline: Run, tmp_path: Path, encoding: str) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_bytes(
        f"kind: RegistryMapping\nmetadata: {{name: q}}\nspec: {json.dumps(mapping('q', 'quay.io')['spec'])}".encode(
            encoding
        )
    )
    assert offline("explain", "quay.io/x", "-f", str(manifest), "-o", "json").json[0]["mappings"][0]["name"] == "q"


def test_text_in_yaml_is_neither_escaped_nor_folded(offline: Run) -> None:
    ran = offline(
        "explain", "b\u00fccher.example/x", "-f", "-", "-o", "yaml", stdin=json.dumps(mapping("q", "quay.io"))
    )
    assert "image: b\u00fccher.example/x\n" in ran.out
    assert "'b\u00fccher.example/x' is no image reference: " in ran.out.replace("''", "'")
    assert "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]" in ran.out.splitlines()[-1]


def test_mapping_that_observes_injects_nothing(offline: Run) -> None:
    (match,) = explain(offline, "quay.io/x", objects=[mapping("q", "quay.io", mode="Observe")]).json[0]["mappings"]
    assert (match["injected"], match["why"]) == (False, "its mode is Observe")


def test_pods_own_secrets_come_first_and_a_serviceaccounts_when_it_has_none(offline: Run) -> None:
    account = {
        "kind": "ServiceAccount",
        "metadata": {"name": "default"},
        "imagePullSecrets": [{"name": "from-account"}],
    }
    own = [secret("own", "quay.io/acme"), secret("from-account", "quay.io"), secret("q-source", "quay.io")]
    objects = [mapping("q", "quay.io"), *own, account]
    named = explain(offline, objects=[*objects, pod("quay.io/acme/x", spec={"imagePullSecrets": [{"name": "own"}]})])
    assert [each["name"] for each in named.json[0]["pullSecrets"]] == ["own", "q-pull"]
    assert [each["secret"] for each in named.json[0]["tries"]] == ["own", "q-pull"]
    unnamed = explain(offline, objects=[*objects, pod("quay.io/acme/x")])
    assert [each["name"] for each in unnamed.json[0]["pullSecrets"]] == ["from-account", "q-pull"]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"type": "Opaque"}, "its type is 'Opaque'"),
        ({"data": {}}, "has no key .dockerconfigjson"),
        ({"data": {".dockerconfigjson": "bm90IGpzb24="}}, "is not JSON"),
        ({"data": {".dockerconfigjson": "!"}}, "is not base64"),
        (
            {"data": None, "stringData": {".dockerconfigjson": '{"auths":{"quay.io":{"auth":"aHVudGVyMg=="}}}'}},
            "USER:PASSWORD",
        ),
    ],
)
def test_malformed_secret_is_a_problem(offline: Run, broken: Json, problem: str) -> None:
    bad = secret("own", "quay.io", **broken)
    ran = explain(offline, objects=[bad, pod("quay.io/x", spec={"imagePullSecrets": [{"name": "own"}]})])
    assert ran.status == 1
    assert problem in ran.json[0]["problems"][0]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ('{"auths":{"quay.io":{"auth":"MDAwMDo=","identitytoken":"hunter2"}}}', "only identitytoken"),
        ('{"auths":{"https://quay.io":{}},"credsStore":"desktop"}', "no credentials"),
        ('{"auths":{"https://robot:hunter2/x@quay.io":{"auth":"YTpi"}}}', "the kubelet ignores it"),
    ],
)
def test_entry_for_the_image_that_the_kubelet_cannot_use_is_a_problem(offline: Run, config: str, problem: str) -> None:
    own = secret("own", data=None, stringData={".dockerconfigjson": config})
    ran = explain(offline, objects=[own, pod("quay.io/x/y", spec={"imagePullSecrets": [{"name": "own"}]})])
    assert ran.status == 1
    assert problem in ran.json[0]["problems"][0]
    assert "hunter2" not in ran.out
    elsewhere = explain(offline, objects=[own, pod("ghcr.io/x/y", spec={"imagePullSecrets": [{"name": "own"}]})])
    assert (elsewhere.status, elsewhere.json[0]["problems"]) == (0, [])


def test_base64_in_lines_of_windows_is_read(offline: Run) -> None:
    own = secret("own", "quay.io")
    whole = own["data"][".dockerconfigjson"]
    own["data"][".dockerconfigjson"] = f"{whole[:12]}\r\n{whole[12:]}"
    ran = explain(offline, objects=[own, pod("quay.io/x/y", spec={"imagePullSecrets": [{"name": "own"}]})])
    assert [each["key"] for each in ran.json[0]["tries"]] == ["quay.io"]


def test_mapping_that_cannot_be_used_is_named_where_it_would_match(offline: Run) -> None:
    ran = explain(offline, "ghcr.io/acme/app", objects=[mapping("bad", "https://ghcr.io/acme", "quay.io")])
    assert ran.status == 1
    (miss,) = ran.json[0]["nearMisses"]
    assert "bad, which is invalid" in miss["of"]
    assert miss["write"] == "ghcr.io/acme"


def test_image_that_is_none_is_a_problem(offline: Run) -> None:
    ran = explain(offline, "quay.io/Acme/app", objects=[mapping("q", "quay.io")])
    assert ran.status == 1
    assert "lower case" in ran.json[0]["problems"][0]


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        ((), "", "there is no image to explain"),
        (("nginx", "-f", "/nonexistent"), "", "No such file"),
        (("nginx", "-f", "-"), "", "no supported object in it"),
        (("nginx", "-f", "-"), "kind: Service\n", "no supported object in it"),
        (("nginx", "-f", "-"), "password: [hunter2\n", "neither YAML nor JSON"),
        (("nginx", "-f", "-"), "[" * 5000, "nested too deeply"),
        (("nginx", "-f", "-"), "kind: Secret\nmetadata: hunter2\n", "metadata"),
        (("nginx", "-f", "-"), "kind: Secret\ndata: hunter2\n", ""),
        (("nginx", "-f", "-"), "kind: Pod\nspec: {containers: 3}\n---\n- a\n---\nkind: Secret\n", ""),
        (("nginx", "-f", "-"), "kind: RegistryMapping\nspec: [1]\n", ""),
        (("nginx", "-o", "xml"), "", "xml"),
    ],
)
def test_invalid_input_is_reported_in_one_line(offline: Run, arguments: tuple[str, ...], stdin: str, said: str) -> None:
    ran = offline("explain", *arguments, stdin=stdin)
    assert ran.status == (2 if said else ran.status)
    assert said in ran.err


def test_text_that_would_steer_the_terminal_is_defused(offline: Run) -> None:
    ran = offline("explain", "a\x1b[2Jb", "-f", "-", stdin=json.dumps(mapping("q", "quay.io")))
    assert "\x1b" not in ran.out + ran.err


def test_explaining_files_needs_no_kubernetes_client(environ: dict[str, str]) -> None:
    ran = Sutler({**environ, "PYTHONPROFILEIMPORTTIME": "1"}).apart(
        "explain", "nginx", "-f", "-", stdin=json.dumps(mapping("q", "quay.io"))
    )
    assert ran.status == 0
    assert "kubernetes_asyncio" not in ran.err
    assert "sutler.registry" in ran.err, "the imports are there to see"


@pytest.fixture
def acme(sutler: Sutler, team: str) -> str:
    """The team's namespace, with a mapping for it."""
    arguments = ("--username", "UserName", "--password-stdin", "--name", "acme", "--namespaces", "team=a")
    assert sutler("registry", "add", "quay.io/acme", *arguments, stdin="Password").status == 0
    return team


def test_cluster_is_asked_for_what_the_command_line_does_not_say(
    sutler: Sutler, acme: str, namespace: str, control_plane: ControlPlane
) -> None:
    """The copy is not there yet: what it will hold is known from its source."""
    ran = sutler("explain", "quay.io/acme/app", "-n", acme, "-o", "json")
    found = ran.json[0]
    assert found["mappings"][0]["injected"]
    assert found["pullSecrets"][0]["why"] == "not written yet; copied from acme-credentials"
    assert [each["key"] for each in found["tries"]] == ["quay.io/acme"]
    elsewhere = sutler("explain", "quay.io/acme/app", "-o", "json")
    assert "does not select namespace default" in elsewhere.json[0]["mappings"][0]["why"]
    nowhere = sutler("explain", "quay.io/acme/app", "-n", "typo", "-o", "json")
    assert nowhere.status == 1
    assert "there is no namespace typo" in nowhere.json[0]["problems"]
    control_plane.kubectl("delete", "secret", "acme-credentials", "-n", namespace)
    gone = sutler("explain", "quay.io/acme/app", "-n", acme)
    assert gone.status == 1
    assert "its source acme-credentials: it does not exist" in gone.out


def test_cluster_without_the_webhook_injects_nothing(sutler: Sutler, control_plane: ControlPlane) -> None:
    assert "sutler-webhook" not in control_plane.kubectl("get", "mutatingwebhookconfigurations", "-o", "name")
    ran = sutler("registry", "add", "quay.io", "--username", "u", "--password-stdin", stdin="hunter2")
    assert ran.status == 0
    found = sutler("explain", "quay.io/acme/app", "-o", "json").json[0]
    assert "webhook is not registered" in found["mappings"][0]["why"]


@pytest.mark.parametrize(("expires_at", "ended"), [("2015-01-01T00:00:00Z", True), ("2115-01-01T00:00:00Z", False)])
def test_password_of_a_token_is_shown_with_its_end(offline: Run, expires_at: str, *, ended: bool) -> None:
    source = secret("acme-source", "quay.io/acme")
    source["metadata"] |= {"labels": {"sutler.dev/token": "ecr"}, "annotations": {"sutler.dev/expires-at": expires_at}}
    objects = [mapping("acme", "quay.io/acme"), source]
    (found,) = explain(offline, "quay.io/acme/app", objects=objects).json
    assert found["pullSecrets"][0]["token"] == {"name": "ecr", "expiresAt": expires_at}
    assert any("RegistryToken ecr ended at 2015" in problem for problem in found["problems"]) is ended
    text = offline("explain", "quay.io/acme/app", "-f", "-", stdin=json.dumps({"kind": "List", "items": objects})).out
    assert f"RegistryToken ecr keeps its password until {expires_at}" in text


def test_deployment_on_standard_input_is_explained_with_the_clusters_mappings(
    sutler: Sutler, acme: str, control_plane: ControlPlane
) -> None:
    made = control_plane.kubectl(
        "create", "deployment", "web", "--image=quay.io/acme/app", "-n", acme, "--dry-run=client", "-o", "yaml"
    )
    ran = sutler("explain", "-f", "-", "-n", acme, "-o", "json", stdin=made)
    assert ran.json[0]["pod"] == "Deployment web"
    assert ran.json[0]["tries"][0]["key"] == "quay.io/acme"


def test_pod_that_exists_gets_nothing_any_more(sutler: Sutler, acme: str, control_plane: ControlPlane) -> None:
    """The Pod was created while the webhook was down."""
    control_plane.kubectl("create", "-n", acme, "-f", "-", input=json.dumps(pod("quay.io/acme/app")))
    ran = sutler(
        "explain", "-f", "-", "-o", "json", stdin=control_plane.kubectl("get", "pod", "web", "-n", acme, "-o", "yaml")
    )
    assert ran.status == 1
    assert ran.json[0]["namespace"] == acme
    assert "created without Secret acme" in ran.json[0]["mappings"][0]["why"]
    assert ran.json[0]["tries"] == []


def test_namespace_is_the_kubeconfigs_unless_named(
    sutler: Sutler, acme: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(control_plane.kubeconfig.read_text())
    control_plane.kubectl("config", "set-context", "--current", f"--namespace={acme}", f"--kubeconfig={kubeconfig}")
    ran = sutler("explain", "quay.io/acme/app", "--kubeconfig", str(kubeconfig), "-o", "json")
    assert ran.json[0]["namespace"] == acme
    assert sutler("explain", "quay.io/acme/app", "-o", "json").json[0]["namespace"] == "default"


def test_user_who_may_not_read_secrets_still_sees_the_mappings(
    sutler: Sutler, acme: str, control_plane: ControlPlane
) -> None:
    role = ("--verb=get,list", "--resource=registrymappings.sutler.dev")
    control_plane.kubectl("create", "clusterrole", acme, *role)
    control_plane.kubectl(
        "create", "clusterrolebinding", acme, f"--clusterrole={acme}", f"--serviceaccount={acme}:default"
    )
    limited = Sutler({**sutler.environ, "KUBECONFIG": str(control_plane.kubeconfig_for(acme, "default"))})
    try:
        ran = limited("explain", "quay.io/acme/app", "-n", acme, "-o", "json")
        assert ran.json[0]["mappings"][0]["name"] == "acme"
        assert "labels" in ran.json[0]["mappings"][0]["why"], "it may not read the namespace either"
        refused = limited("registry", "remove", "acme")
        assert refused.status == 3
        assert "403 Forbidden" in refused.err
    finally:
        control_plane.kubectl("delete", "clusterrole,clusterrolebinding", acme)
