"""The base of all processes' settings."""

from pathlib import Path

import pytest

from sutler.settings import ProcessSettings, Seconds


class Settings(ProcessSettings):
    retry_period: Seconds = 2.0
    """Seconds between two tries."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUTLER_NAMESPACE", "SUTLER_KUBECONFIG", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


def read(*arguments: str) -> Settings:
    return Settings.from_arguments(arguments, program="test")


def test_flags_win_over_environment_and_that_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (read().retry_period, read().kubeconfig, read().probe_port) == (2.0, None, 8080)
    monkeypatch.setenv("SUTLER_RETRY_PERIOD", "3")
    monkeypatch.setenv("SUTLER_KUBECONFIG", "/env")
    monkeypatch.setenv("SUTLER_PROBE_PORT", "")
    settings = read("--retry-period", "0.5", "--probe-host=127.0.0.1")
    assert (settings.retry_period, settings.kubeconfig, settings.probe_port) == (0.5, "/env", 8080)
    assert settings.probe_host == "127.0.0.1"


def test_namespace_is_that_of_the_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read().namespace == "sutler-system"
    monkeypatch.setenv("POD_NAMESPACE", "elsewhere")
    assert read().namespace == "elsewhere"
    (tmp_path / "namespace").write_text("here\n")
    monkeypatch.setattr("sutler.settings._NAMESPACE_FILE", tmp_path / "namespace")
    assert read().namespace == "here"
    assert read("--namespace", "there").namespace == "there"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--retry-period", "0"], "test: --retry-period: Input should be greater than 0, not '0'"),
        (["--retry-period", "soon"], "test: --retry-period: Input should be a valid number"),
        (["--probe-port", "99999"], "test: --probe-port: Input should be less than or equal to 65535"),
        (
            ["--log-level", "loud"],
            "test: --log-level: Input should be 'debug', 'info', 'warning' or 'error', not 'loud'",
        ),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
    ],
)
def test_mistake_is_one_line_and_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        read(*arguments)
    assert raised.value.code == 2
    assert said in capsys.readouterr().err


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        read("--help")
    assert raised.value.code == 0
    said = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in said
    assert "Seconds between two tries." in said
