"""Which API server is meant, and what is said when that can't be found out."""

import tempfile
import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml

from sutler.kube import config
from sutler.kube.client import connect
from sutler.kube.config import ClientConfig, find_source
from sutler.kube.errors import ConfigError

CANARY = "canary-token-7f3a"


def kubeconfig(**changes: Any) -> dict[str, Any]:
    return {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
        "users": [{"name": "u", "user": {"token": CANARY}}],
    } | changes


def cluster(**more: Any) -> dict[str, Any]:
    return {"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **more}}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    return tmp_path


IN_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_source_is_what_was_named_else_environment_else_account_else_home(account: Path, tmp_path: Path) -> None:
    everything = IN_POD | {"KUBECONFIG": "/env"}
    assert find_source("/named", "c", everything, account) == ClientConfig("/named", "c")
    assert find_source(None, "c", everything, account) == ClientConfig("/env", "c")
    assert find_source(None, None, IN_POD, account) == ClientConfig(None, account=account)
    home = ClientConfig(str(Path("~/.kube/config").expanduser()))
    assert find_source(None, None, IN_POD, tmp_path / "absent") == home
    assert find_source(None, None, {"KUBECONFIG": ""}, account) == home


async def test_kubeconfig_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig()))
    read = await config.read(ClientConfig(str(path)))
    assert read.host == "https://10.0.0.1:6443"
    assert await read.get_api_key_with_prefix("BearerToken") == f"Bearer {CANARY}"
    async with connect(str(path), component="test") as client:
        assert client.host == "10.0.0.1:6443"


async def test_data_in_a_kubeconfig_without_a_place_for_it_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig(clusters=[cluster(**{"certificate-authority-data": "YQ=="})])))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "absent")])
    with pytest.raises(ConfigError, match=f"kubeconfig {path}: No usable temporary directory .*: set TMPDIR"):
        await config.read(ClientConfig(str(path)))


async def test_several_kubeconfigs_are_merged(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(yaml.safe_dump(kubeconfig(clusters=[])))
    two.write_text(yaml.safe_dump(kubeconfig()))
    assert (await config.read(ClientConfig(f"{one}:{two}:{tmp_path}/absent"))).host == "https://10.0.0.1:6443"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a kubeconfig"),
        ("[]", "not a kubeconfig"),
        ("text", "not a kubeconfig"),
        (f"a: [1\nb: {CANARY}", r"not YAML \(line \d+\)"),
        (kubeconfig(**{"current-context": None}), "'current-context' is missing in it"),
        (kubeconfig(contexts=[]), "'one' is missing in it"),
        (kubeconfig(clusters=[]), "'c' is missing in it"),
        (kubeconfig(clusters=[{"name": "c", "cluster": {}}]), "not a kubeconfig"),
        (kubeconfig(clusters=[{"name": "c", "cluster": {"insecure-skip-tls-verify": True}}]), "server must be a URL"),
        (kubeconfig(clusters=[{"name": "c", "cluster": {"server": "10.0.0.1:6443"}}]), "server must be a URL"),
        (
            kubeconfig(clusters=[cluster(**{"certificate-authority": "no-file"})]),
            "File does not exists: .*no-file",
        ),
        (
            kubeconfig(clusters=[cluster(**{"certificate-authority-data": "bm90IHBlbQ=="})]),
            "the certificates in it can't be used",
        ),
        (kubeconfig(users=[{"name": "u", "user": {"exec": {"command": "/no/such/plugin"}, "token": CANARY}}]), ""),
        (kubeconfig(users=[{"name": "u", "user": {"auth-provider": {"name": "oidc", "x": CANARY}}}]), ""),
        (
            kubeconfig(users=[{"name": "u", "user": {"auth-provider": {"name": "oidc", "config": {"x": CANARY}}}}]),
            "",
        ),
    ],
)
async def test_broken_kubeconfig_is_explained_without_its_secrets(tmp_path: Path, text: Any, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    with pytest.raises(ConfigError, match=f"kubeconfig {path}: .*{said}") as raised:
        async with connect(str(path), component="test"):
            pass
    assert CANARY not in "".join(traceback.format_exception(raised.value))


async def test_absent_kubeconfig_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent does not exist; name another with --kubeconfig or KUBECONFIG"):
        await config.read(ClientConfig(f"{tmp_path}/absent"))


async def test_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig()))
    with pytest.raises(ConfigError, match="context other: 'other' is missing in it"):
        await config.read(ClientConfig(str(path), "other"))


async def test_account_without_its_ca_is_explained(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in IN_POD.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="the Pod's service account: Service certification file does not exist"):
        await config.read(ClientConfig(None, account=account))
