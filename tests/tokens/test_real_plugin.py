"""The published ecr-credential-provider as an exec source. It judges the fake of ECR: AWS's own code signs."""

import pytest

from provisioner.tokens.planning.sources import ExecSource
from provisioner.tokens.plugin_runner import PluginRunner
from provisioner.tokens.providers.fetch import fetch_credential
from tests.cluster import go
from tests.tokens.conftest import MakeContext
from tests.tokens.fakes.aws import FakeAws
from tests.tokens.fakes.hosts import HOSTS

PLUGIN = "ecr-credential-provider"


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_published_plugin_is_a_source(make_context: MakeContext) -> None:
    folder = go.Testbed(PLUGIN).ensured()
    folder.chmod(0o755)
    async with FakeAws() as cloud:
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIASTATIC",
            "AWS_SECRET_ACCESS_KEY": cloud.keys["AKIASTATIC"].secret,
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_ECR": cloud.url,
            "HOME": "/nonexistent",
        }
        runner = PluginRunner(folder, environment, environment)
        source = ExecSource(PLUGIN, f"{HOSTS['ecr']}/app")
        found = await fetch_credential(make_context({}, run_plugin=runner.run), source)
        (login,) = found.logins.values()
        assert login.username == "AWS"
        assert cloud.is_good(login.password)
        # It has its answer kept for half of what the token has left.
        assert found.seconds_left == pytest.approx(cloud.life_seconds, abs=60)
