"""The policy on RegistryTokens, evaluated by the reference library of CEL beside the process's own reader."""

from typing import Any

import pytest
import yaml
from cel_expr_python import cel  # type: ignore[import-untyped] # it has a stub, but no marker that says so

from provisioner.tokens.planning.registry_token import Policy, RegistryTokenError, parse_registry_token
from tests.conftest import REPOSITORY
from tests.tokens.test_registry_token import WRONG

Json = dict[str, Any]

FILE = REPOSITORY / "manifests/components/modern/registry-tokens-policy.yaml"
ENVIRONMENT = cel.NewEnv(variables={"object": cel.Type.DYN})
POLICY = next(one for one in yaml.safe_load_all(FILE.read_text()) if one["kind"] == "ValidatingAdmissionPolicy")
COMPILED = [(ENVIRONMENT.compile(each["expression"]), each["message"]) for each in POLICY["spec"]["validations"]]

SAID = {
    "no source": "exactly one of",
    "two sources": "exactly one of",
    "a ServiceAccount without a role": "spec.ecr.roleARN is missing",
    "federation without an audience": "spec.artifactRegistry.audience",
    "an audience for the metadata server": "spec.artifactRegistry.audience",
    "an application without a tenant": "spec.acr.tenantID",
    "RRSA without a provider": "spec.aliyun.oidcProviderARN",
    "an old contract with an account": "",
}


def refusals(obj: Json) -> list[str]:
    return [message for expression, message in COMPILED if not expression.eval(data={"object": obj}).value()]


@pytest.mark.parametrize("case", SAID)
def test_policy_says_what_to_do(case: str) -> None:
    obj, _ = WRONG[case]
    found = refusals(obj)
    assert bool(found) == bool(SAID[case])
    assert SAID[case] in " ".join(found)


def test_policy_refuses_nothing_that_the_process_takes() -> None:
    documents = (REPOSITORY / "manifests/examples/registrytoken.yaml").read_text()
    (example,) = (one for one in yaml.safe_load_all(documents) if one["kind"] == "RegistryToken")
    taken = 0
    for obj in (example, *(each for each, _ in WRONG.values())):
        try:
            parse_registry_token(obj, Policy())
        except RegistryTokenError:
            continue
        taken += 1
        assert refusals(obj) == []
    assert taken == 1


def test_messages_fit_into_the_api() -> None:
    assert all(len(message) <= 32_768 and "\n" not in message for _, message in COMPILED)
