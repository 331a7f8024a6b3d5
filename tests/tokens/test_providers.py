"""Each source with each identity, against strict fakes of the clouds, over real HTTP."""

import io
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.tokens.planning.credential import FetchedCredential
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.registry_token import Policy, parse_registry_token
from provisioner.tokens.providers.context import FetchContext
from provisioner.tokens.providers.fetch import fetch_credential
from tests.tokens.conftest import MakeContext, Secrets
from tests.tokens.fakes import aliyun, aws, azure, google
from tests.tokens.fakes.aws import FakeAws, Session
from tests.tokens.fakes.cloud import FakeCloud, Fault
from tests.tokens.fakes.hosts import HOSTS
from tests.tokens.fakes.jwt import service_account_token

Json = dict[str, Any]

ENDPOINTS: dict[type[FakeCloud], list[str]] = {
    FakeAws: ["ecr", "ecr-public", "aws-sts", "aws-metadata"],
    google.FakeGoogle: ["google-metadata", "google-sts", "google-iam"],
    azure.FakeAzure: ["azure-login", "azure-metadata", "acr"],
    aliyun.FakeAliyun: ["aliyun-cr", "aliyun-sts", "aliyun-metadata"],
}
SECRETS: Secrets = {
    "aws": {"accessKeyID": b"AKIASTATIC\n", "secretAccessKey": b"canary-static-secret\n"},
    "azure": {"clientSecret": azure.CLIENT_SECRET.encode()},
    "aliyun": {"accessKeyID": b"LTAISTATIC", "accessKeySecret": b"canary-static-secret"},
}
_METADATA = {"process": "MetadataServer"}
_WEB = {"process": "WebIdentity"}
_ACCOUNT = {"serviceAccountName": "puller"}
_APP = {"tenantID": azure.TENANT, "clientID": azure.CLIENT}
_RRSA = {"roleARN": aliyun.ROLE, "oidcProviderARN": aliyun.PROVIDER}


@dataclass
class Case:
    """`source` is the field of the spec; `host` a key of HOSTS, by default the same."""

    cloud: type[FakeCloud]
    source: str
    block: Json
    username: str
    host: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    projected: str = ""
    audience: str = ""
    setup: Callable[[Any], None] = lambda _: None

    @property
    def registry(self) -> str:
        return HOSTS[self.host or self.source]


CASES = {
    "ecr static key": Case(FakeAws, "ecr", {"identity": {"secretName": "aws"}}, "AWS"),
    "ecr static key and a role": Case(FakeAws, "ecr", {"identity": {"secretName": "aws"}, "roleARN": aws.ROLE}, "AWS"),
    "ecr IRSA": Case(FakeAws, "ecr", {"identity": _ACCOUNT, "roleARN": aws.ROLE}, "AWS"),
    "ecr projected token": Case(
        FakeAws,
        "ecr",
        {"identity": _WEB},
        "AWS",
        environment={"AWS_ROLE_ARN": aws.ROLE},
        projected="aws",
        audience="sts.amazonaws.com",
    ),
    "ecr pod identity": Case(FakeAws, "ecr", {"identity": {"process": "PodIdentity"}}, "AWS"),
    "ecr instance": Case(FakeAws, "ecr", {"identity": _METADATA}, "AWS"),
    "ecr instance and a role": Case(FakeAws, "ecr", {"identity": _METADATA, "roleARN": aws.ROLE}, "AWS"),
    "ecr public": Case(FakeAws, "ecrPublic", {"identity": {"secretName": "aws"}}, "AWS"),
    "google metadata": Case(google.FakeGoogle, "artifactRegistry", {"identity": _METADATA}, "oauth2accesstoken"),
    "google federation": Case(
        google.FakeGoogle, "artifactRegistry", {"identity": _ACCOUNT, "audience": google.AUDIENCE}, "oauth2accesstoken"
    ),
    "google federation, projected": Case(
        google.FakeGoogle,
        "artifactRegistry",
        {"identity": _WEB, "audience": google.AUDIENCE},
        "oauth2accesstoken",
        projected="google",
        audience=f"https:{google.AUDIENCE}",
    ),
    "google impersonation": Case(
        google.FakeGoogle,
        "artifactRegistry",
        {"identity": _ACCOUNT, "audience": google.AUDIENCE, "serviceAccountEmail": google.EMAIL},
        "oauth2accesstoken",
    ),
    "acr client secret": Case(
        azure.FakeAzure, "acr", {"identity": {"secretName": "azure"}, **_APP}, "00000000-0000-0000-0000-000000000000"
    ),
    "acr workload identity": Case(
        azure.FakeAzure, "acr", {"identity": _ACCOUNT, **_APP}, "00000000-0000-0000-0000-000000000000"
    ),
    "acr projected token": Case(
        azure.FakeAzure,
        "acr",
        {"identity": _WEB},
        "00000000-0000-0000-0000-000000000000",
        environment={"AZURE_CLIENT_ID": azure.CLIENT, "AZURE_TENANT_ID": azure.TENANT},
        projected="azure",
        audience="api://AzureADTokenExchange",
    ),
    "acr managed identity": Case(
        azure.FakeAzure, "acr", {"identity": _METADATA}, "00000000-0000-0000-0000-000000000000"
    ),
    "acr opaque token": Case(
        azure.FakeAzure,
        "acr",
        {"identity": _METADATA, "clientID": azure.CLIENT},
        "00000000-0000-0000-0000-000000000000",
        setup=lambda cloud: setattr(cloud, "opaque", True),
    ),
    "aliyun personal": Case(aliyun.FakeAliyun, "aliyun", {"identity": {"secretName": "aliyun"}}, "cr_temp_user"),
    "aliyun personal RRSA": Case(aliyun.FakeAliyun, "aliyun", {"identity": _ACCOUNT, **_RRSA}, "cr_temp_user"),
    "aliyun personal node": Case(aliyun.FakeAliyun, "aliyun", {"identity": _METADATA}, "cr_temp_user"),
    "aliyun personal node, named": Case(
        aliyun.FakeAliyun, "aliyun", {"identity": _METADATA, "roleName": "node"}, "cr_temp_user"
    ),
    "aliyun enterprise by name": Case(
        aliyun.FakeAliyun, "aliyun", {"identity": {"secretName": "aliyun"}}, "cr_temp_user", host="enterprise"
    ),
    "aliyun enterprise by id, projected": Case(
        aliyun.FakeAliyun,
        "aliyun",
        {"identity": _WEB, "instanceID": aliyun.INSTANCE},
        "cr_temp_user",
        host="enterprise",
        environment={"ALIBABA_CLOUD_ROLE_ARN": aliyun.ROLE, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": aliyun.PROVIDER},
        projected="aliyun",
        audience="sts.aliyuncs.com",
    ),
}


@dataclass
class Setting:
    cloud: Any
    context: FetchContext
    case: Case

    async def fetch(self) -> FetchedCredential:
        spec = {"secretName": "token", "registries": [self.case.registry], self.case.source: self.case.block}
        token = parse_registry_token({"metadata": {"name": "test"}, "spec": spec}, Policy())
        return await fetch_credential(self.context, token.source)


class Start:
    """Starts a case's cloud; all that was started ends with the test."""

    def __init__(self, stack: AsyncExitStack, make_context: MakeContext, folder: Path) -> None:
        self._stack = stack
        self._make_context = make_context
        self._folder = folder

    async def __call__(self, name: str, **more: Any) -> Setting:
        case = CASES[name]
        cloud: Any = await self._stack.enter_async_context(case.cloud())
        case.setup(cloud)
        environment = dict(case.environment)
        if isinstance(cloud, FakeAws):
            file = self._folder / "pod-identity"
            file.write_text(f"{cloud.pod_token}\n")
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{cloud.url}/v1/credentials"
            environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(file)
        if case.projected:
            (self._folder / case.projected).write_text(service_account_token(case.audience))
        endpoints = dict.fromkeys(ENDPOINTS[case.cloud], cloud.url)
        given = {"secrets": SECRETS, "environment": environment, **more}
        return Setting(cloud, self._make_context(endpoints, **given), case)


@pytest.fixture
async def start(make_context: MakeContext, tmp_path: Path) -> Any:
    async with AsyncExitStack() as stack:
        yield Start(stack, make_context, tmp_path)


@pytest.mark.parametrize("name", CASES)
async def test_token_is_one_that_the_registry_takes(start: Start, name: str) -> None:
    setting = await start(name)
    found = await setting.fetch()
    (login,) = found.logins.values()
    assert login.username == setting.case.username
    assert setting.cloud.is_good(login.password)
    ends = 1800 if name == "acr opaque token" else setting.cloud.issued[login.password] - setting.cloud.now()
    assert found.seconds_left == pytest.approx(ends, abs=3)
    assert found.exact == (name != "acr opaque token")


@pytest.mark.parametrize("name", CASES)
async def test_no_token_and_no_key_is_in_a_log_or_a_repr(start: Start, name: str, logged: io.StringIO) -> None:
    setting = await start(name)
    found = await setting.fetch()
    assert "canary" not in repr(found)
    assert "canary" not in logged.getvalue()
    assert "eyJ" not in logged.getvalue()


@pytest.mark.parametrize("name", ["ecr static key", "ecr static key and a role", "aliyun personal"])
async def test_wrong_clock_is_made_good_by_the_endpoints(start: Start, name: str) -> None:
    """The local clock is two hours slow. The signature is refused, and made once more by the time of the refusal."""
    setting = await start(name, now=lambda: datetime.now(UTC) - timedelta(hours=2))
    found = await setting.fetch()
    assert found.seconds_left == pytest.approx(3600, abs=3)
    assert setting.cloud.requests[0] == setting.cloud.requests[1]


@pytest.mark.parametrize("name", ["ecr static key", "aliyun personal"])
async def test_clock_of_the_cloud_that_is_ahead_does_not_shorten_the_life(start: Start, name: str) -> None:
    setting = await start(name)
    setting.cloud.skew_seconds = 3000.0
    assert (await setting.fetch()).seconds_left == pytest.approx(3600, abs=3)


async def failing(setting: Setting) -> TokenError:
    with pytest.raises(TokenError) as raised:
        await setting.fetch()
    assert "canary" not in str(raised.value)
    assert "eyJ" not in str(raised.value)
    return raised.value


REFUSALS: dict[str, tuple[str, Secrets, str]] = {
    "ecr wrong secret": (
        "ecr static key",
        {"aws": {**SECRETS["aws"], "secretAccessKey": b"x"}},
        "SignatureDoesNotMatch",
    ),
    "ecr unknown key": ("ecr static key", {"aws": {**SECRETS["aws"], "accessKeyID": b"AKIAX"}}, "UnrecognizedClient"),
    "acr wrong secret": ("acr client secret", {"azure": {"clientSecret": b"x"}}, "invalid_client"),
    "aliyun wrong secret": (
        "aliyun personal",
        {"aliyun": {**SECRETS["aliyun"], "accessKeySecret": b"x"}},
        "SignatureDoesNotMatch",
    ),
    "aliyun unknown key": (
        "aliyun personal",
        {"aliyun": {**SECRETS["aliyun"], "accessKeyID": b"x"}},
        "InvalidAccessKeyId",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_wrong_key_is_access_denied_with_the_clouds_code(start: Start, name: str) -> None:
    case, secrets, code = REFUSALS[name]
    error = await failing(await start(case, secrets=secrets))
    assert error.reason is Reason.ACCESS_DENIED
    assert code in str(error)


@pytest.mark.parametrize("name", ["ecr IRSA", "google federation", "acr workload identity", "aliyun personal RRSA"])
async def test_token_for_another_audience_is_refused(start: Start, name: str) -> None:
    async def account_token(account: str, audience: str) -> str:
        return service_account_token(f"not-{audience}", account)

    error = await failing(await start(name, account_token=account_token))
    assert error.reason in {Reason.ACCESS_DENIED, Reason.BAD_ANSWER}


@pytest.mark.parametrize("name", ["ecr static key", "acr client secret", "aliyun personal"])
async def test_missing_secret_and_missing_key_are_said(start: Start, name: str) -> None:
    assert (await failing(await start(name, secrets={}))).reason is Reason.IDENTITY_MISSING
    (secret,) = CASES[name].block["identity"].values()
    error = await failing(await start(name, secrets={secret: {"other": b"canary"}}))
    assert error.reason is Reason.IDENTITY_MISSING
    assert "its keys are: other" in str(error)


async def test_missing_projected_token_and_variables_are_said(start: Start, tmp_path: Path) -> None:
    setting = await start("ecr projected token", environment={})
    (tmp_path / "aws").unlink()
    assert "project a ServiceAccount token" in str(await failing(setting))
    (tmp_path / "aws").write_text(service_account_token("sts.amazonaws.com"))
    assert "AWS_ROLE_ARN" in str(await failing(setting))


async def test_projected_token_is_read_at_each_use(start: Start, tmp_path: Path) -> None:
    """It is rotated: the first one has ended by the second fetch."""
    setting = await start("ecr projected token")
    await setting.fetch()
    (tmp_path / "aws").write_text(service_account_token("sts.amazonaws.com", life_seconds=-1))
    assert (await failing(setting)).reason is Reason.ACCESS_DENIED
    (tmp_path / "aws").write_text(service_account_token("sts.amazonaws.com"))
    await setting.fetch()


async def test_instance_without_a_role_is_said(start: Start) -> None:
    setting = await start("ecr instance")
    setting.cloud.has_role = False
    error = await failing(setting)
    assert error.reason is Reason.IDENTITY_MISSING
    assert "attach an instance profile" in str(error)


async def test_metadata_that_does_not_answer_is_given_up_soon_with_the_usual_cause(start: Start) -> None:
    setting = await start("ecr instance")
    setting.cloud.faults["/latest/api/token"] = Fault(delay_seconds=30)
    error = await failing(setting)
    assert error.reason is Reason.ENDPOINT_UNREACHABLE
    assert "hop limit" in str(error)


async def test_agent_that_is_not_on_the_node_gets_no_token(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "pod-identity"
    environment = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file),
    }
    setting = await start("ecr pod identity", environment=environment)
    setting.context.environment.update(environment)  # type: ignore[attr-defined] # a dict
    assert (await failing(setting)).reason is Reason.IDENTITY_MISSING


async def test_metadata_server_gives_the_same_token_again_and_that_is_no_failure(start: Start) -> None:
    setting = await start("google metadata")
    first, second = await setting.fetch(), await setting.fetch()
    assert first.logins == second.logins


async def test_stranger_at_the_metadata_address_is_not_believed(start: Start) -> None:
    setting = await start("google metadata")
    setting.cloud.flavor = {}
    assert (await failing(setting)).reason is Reason.BAD_ANSWER


async def test_federated_token_ends_with_its_subject_token(start: Start) -> None:
    async def account_token(account: str, audience: str) -> str:
        return service_account_token(audience, account, life_seconds=200)

    setting = await start("google federation", account_token=account_token)
    assert (await setting.fetch()).seconds_left == pytest.approx(200, abs=3)


async def test_each_registry_of_acr_exchanges_for_itself(start: Start) -> None:
    setting = await start("acr managed identity")
    setting.cloud.registries.add("other.azurecr.io")
    spec = {
        "secretName": "token",
        "registries": ["acme.azurecr.io/team", "other.azurecr.io"],
        "acr": {"identity": _METADATA},
    }
    token = parse_registry_token({"metadata": {"name": "test"}, "spec": spec}, Policy())
    found = await fetch_credential(setting.context, token.source)
    assert found.logins.keys() == {"acme.azurecr.io", "other.azurecr.io"}
    assert len({login.password for login in found.logins.values()}) == 2


async def test_refusal_of_aliyun_comes_with_200(start: Start) -> None:
    setting = await start("aliyun enterprise by name")
    setting.cloud.granted = False
    error = await failing(setting)
    assert error.reason is Reason.ACCESS_DENIED
    assert "NO_PRIVILEGE" in str(error)


async def test_unknown_instance_says_how_to_name_it(start: Start) -> None:
    setting = await start("aliyun enterprise by name")
    setting.case = Case(
        aliyun.FakeAliyun, "aliyun", {"identity": {"secretName": "aliyun"}, "region": "cn-hangzhou"}, "", "unknown"
    )
    HOSTS.setdefault("unknown", "unknown-registry.cn-hangzhou.cr.aliyuncs.com")
    assert "spec.aliyun.instanceID" in str(await failing(setting))


async def test_aliyun_token_ends_with_the_session_that_asked_for_it(start: Start) -> None:
    setting = await start("aliyun personal RRSA")
    setting.cloud.session_seconds = 900.0
    assert (await setting.fetch()).seconds_left == pytest.approx(900, abs=3)


def bad_endings() -> dict[str, Fault]:
    past = '{"authorizationData":[{"authorizationToken":"QVdTOmNhbmFyeQ==","expiresAt":1420070400}]}'
    future = past.replace("1420070400", "1e300")
    odd = past.replace("QVdTOmNhbmFyeQ==", "Y2FuYXJ5")
    return {
        "500 HTML": Fault(500, b"<html>canary</html>", {"Content-Type": "text/html"}),
        "503 with Retry-After": Fault(503, b"", {"Retry-After": "120"}),
        "429": Fault(429, b'{"__type":"ThrottlingException","message":"canary"}'),
        "400 throttled": Fault(400, b'{"__type":"ThrottlingException"}'),
        "half JSON": Fault(200, b'{"authorizationData":[{"authorizationToken":"canary'),
        "wrong types": Fault(200, b'{"authorizationData":[{"authorizationToken":["canary"],"expiresAt":"canary"}]}'),
        "a list": Fault(200, b'["canary"]'),
        "nothing": Fault(200, b""),
        "no token": Fault(200, b'{"authorizationData":[]}'),
        "ten megabytes": Fault(200, b'"' + b"canary" * 2_000_000 + b'"'),
        "ended in 2015": Fault(200, past.encode()),
        "ends after all times": Fault(200, future.encode()),
        "not USER:PASSWORD": Fault(200, odd.encode()),
        "not base64": Fault(200, past.replace("QVdTOmNhbmFyeQ==", "canary:?").encode()),
        "nested deeply": Fault(200, b"[" * 100_000),
        "redirect": Fault(302, b"", {"Location": "http://169.254.169.254/latest/canary"}),
        "compressed": Fault(200, b"canary", {"Content-Encoding": "gzip"}),
        "NUL in a header": Fault(200, b"{}", {"Retry-After": "nan"}),
        "code that repeats the request": Fault(400, b'{"__type":"GetAuthorizationToken"}'),
    }


BAD = {
    "500 HTML": Reason.ENDPOINT_FAILED,
    "503 with Retry-After": Reason.ENDPOINT_FAILED,
    "429": Reason.THROTTLED,
    "400 throttled": Reason.THROTTLED,
    "redirect": Reason.REDIRECTED,
    "ended in 2015": Reason.BAD_EXPIRY,
    "ends after all times": Reason.BAD_EXPIRY,
}


@pytest.mark.parametrize("what", bad_endings())
async def test_bad_answer_has_a_clear_reason_and_quotes_nothing(start: Start, what: str) -> None:
    setting = await start("ecr static key")
    setting.cloud.faults["/"] = bad_endings()[what]
    error = await failing(setting)
    assert error.reason is BAD.get(what, Reason.BAD_ANSWER)
    assert error.retry_after == (120 if what == "503 with Retry-After" else None)


@pytest.mark.parametrize("cloud", ["google federation", "acr workload identity", "aliyun personal", "ecr IRSA"])
@pytest.mark.parametrize("what", ["500 HTML", "half JSON", "wrong types", "a list", "nothing", "redirect", "429"])
async def test_bad_answer_of_any_cloud_is_an_expected_error(start: Start, cloud: str, what: str) -> None:
    setting = await start(cloud)
    setting.cloud.faults["*"] = bad_endings()[what]
    assert (await failing(setting)).reason in {
        Reason.ENDPOINT_FAILED, Reason.BAD_ANSWER, Reason.REDIRECTED, Reason.THROTTLED
    }  # fmt: skip


async def test_redirect_is_never_followed(start: Start) -> None:
    setting = await start("ecr static key")
    setting.cloud.faults["/"] = Fault(307, b"", {"Location": f"{setting.cloud.url}/elsewhere"})
    await failing(setting)
    assert setting.cloud.requests == ["POST /"]


@pytest.mark.parametrize("session", [-10.0, 30.0])
async def test_session_that_has_ended_is_said_and_not_used(start: Start, session: float) -> None:
    setting = await start("ecr IRSA")
    setting.cloud.session_seconds = session
    assert (await failing(setting)).reason is Reason.BAD_EXPIRY
    assert setting.cloud.requests == ["POST /"]


async def test_session_of_another_is_refused(start: Start) -> None:
    """The fake is strict about session tokens: a signature with the right key and another token does not pass."""
    setting = await start("ecr static key")
    setting.cloud.keys["AKIASTATIC"] = Session("canary-static-secret", token="another")
    assert (await failing(setting)).reason is Reason.ACCESS_DENIED
