"""moto judges SigV4, STS and IMDSv2: an implementation that knows nothing of this project's fakes."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.tokens.http_client import HttpClient
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest
from provisioner.tokens.planning.registry_token import Policy, parse_registry_token
from provisioner.tokens.planning.sources import EcrSource, TokenSource
from provisioner.tokens.providers.aws_credentials import fetch_aws_credentials
from provisioner.tokens.providers.fetch import fetch_credential
from tests.tokens.conftest import MakeContext
from tests.tokens.fakes.hosts import HOSTS
from tests.tokens.fakes.moto import iam_request, running_moto

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ENDPOINTS = ("ecr", "aws-sts", "aws-metadata")
ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
TRUST = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
)
ROLE = "arn:aws:iam::123456789012:role/puller"


@pytest.fixture
def moto(unused_tcp_port_factory: Callable[[], int], tmp_path: Path) -> Iterator[str]:
    with running_moto(unused_tcp_port_factory(), tmp_path / "moto.log") as url:
        yield url


async def created_key(http: HttpClient, url: str) -> dict[str, bytes]:
    """The key of a user that may do everything. There is a role with the same permissions, too."""
    user = {"UserName": "sutler"}
    await http.send(iam_request(url, "CreateUser", **user))
    made = (await http.send(iam_request(url, "CreateAccessKey", **user))).body.decode()
    await http.send(iam_request(url, "PutUserPolicy", PolicyName="all", PolicyDocument=ALL, **user))
    await http.send(iam_request(url, "CreateRole", RoleName="puller", AssumeRolePolicyDocument=TRUST))
    found = {name: re.findall(f"<{name}>(.+?)</{name}>", made) for name in ("AccessKeyId", "SecretAccessKey")}
    return {"accessKeyID": found["AccessKeyId"][0].encode(), "secretAccessKey": found["SecretAccessKey"][0].encode()}


def ecr(identity: dict[str, str], **more: Any) -> TokenSource:
    spec = {"secretName": "token", "registries": [HOSTS["ecr"]], "ecr": {"identity": identity, **more}}
    return parse_registry_token({"metadata": {"name": "test"}, "spec": spec}, Policy()).source


async def test_moto_accepts_our_signatures_and_no_others(
    moto: str, http: HttpClient, make_context: MakeContext
) -> None:
    key = await created_key(http, moto)
    wrong = key | {"secretAccessKey": b"wrong"}
    context = make_context(dict.fromkeys(ENDPOINTS, moto), secrets={"right": key, "wrong": wrong})

    async def reason(name: str, **more: Any) -> Reason:
        with pytest.raises(TokenError) as raised:
            await fetch_credential(context, ecr({"secretName": name}, **more))
        return raised.value.reason

    # An accepted request gets the constant token of moto, which ended in 2015.
    assert await reason("right") is Reason.BAD_EXPIRY
    assert await reason("wrong") is Reason.ACCESS_DENIED
    assert await reason("wrong", roleARN=ROLE) is Reason.ACCESS_DENIED


async def test_moto_gives_a_session_for_a_signed_request_to_sts(
    moto: str, http: HttpClient, make_context: MakeContext
) -> None:
    key = await created_key(http, moto)
    source = ecr({"secretName": "key"}, roleARN=ROLE)
    assert isinstance(source, EcrSource)
    found = await fetch_aws_credentials(make_context(dict.fromkeys(ENDPOINTS, moto), secrets={"key": key}), source)
    assert found.access_key_id != key["accessKeyID"].decode()
    assert found.session_token


async def test_moto_gives_the_session_of_an_instance(moto: str, http: HttpClient, make_context: MakeContext) -> None:
    async def send(request: HttpRequest) -> HttpAnswer:
        return await http.send(request.with_headers({"Host": "169.254.169.254"}))  # by which moto knows the service

    source = ecr({"process": "MetadataServer"})
    assert isinstance(source, EcrSource)
    found = await fetch_aws_credentials(make_context(dict.fromkeys(ENDPOINTS, moto), send=send), source)
    assert found.session_token
