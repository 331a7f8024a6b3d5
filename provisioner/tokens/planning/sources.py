"""Where a token comes from and as whom: the parsed forms of `ecr`, `acr`, … of a RegistryToken. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class ProcessIdentity(StrEnum):
    """The process's own identity, which is used only if the object names it."""

    WEB_IDENTITY = "WebIdentity"
    """The token of the process's own ServiceAccount that is projected into its Pod."""
    POD_IDENTITY = "PodIdentity"
    """EKS Pod Identity: credentials from the agent on the node."""
    METADATA_SERVER = "MetadataServer"
    """What the cloud's metadata server gives: mostly the node's identity; on GKE the ServiceAccount's."""


@dataclass(frozen=True)
class Identity:
    """As whom Sutler asks; exactly one of the three is set."""

    secret_name: str = ""
    service_account_name: str = ""
    process: ProcessIdentity | None = None

    def __str__(self) -> str:
        if self.secret_name:
            return f"Secret {self.secret_name}"
        if self.service_account_name:
            return f"ServiceAccount {self.service_account_name}"
        return f"the process's {self.process}" if self.process else "none"


@dataclass(frozen=True)
class EcrSource:
    identity: Identity
    region: str
    suffix: str
    """Of the partition's API hosts, such as amazonaws.com.cn."""
    role_arn: str = ""
    fips: bool = False
    endpoint: str = ""

    @property
    def cloud_identity(self) -> str:
        return self.role_arn


@dataclass(frozen=True)
class EcrPublicSource:
    identity: Identity
    role_arn: str = ""

    region = "us-east-1"
    suffix = "amazonaws.com"

    @property
    def cloud_identity(self) -> str:
        return self.role_arn


@dataclass(frozen=True)
class ArtifactRegistrySource:
    identity: Identity
    audience: str = ""
    """Of workload identity federation; empty with the metadata server."""
    service_account_email: str = ""
    """To be impersonated; empty: the identity itself."""

    @property
    def cloud_identity(self) -> str:
        return self.service_account_email


@dataclass(frozen=True)
class AcrSource:
    identity: Identity
    hosts: tuple[str, ...]
    """Each registry exchanges for itself."""
    tenant_id: str = ""
    client_id: str = ""

    @property
    def cloud_identity(self) -> str:
        return self.client_id


@dataclass(frozen=True)
class AliyunSource:
    identity: Identity
    region: str
    instance_id: str = ""
    instance_name: str = ""
    """Of an Enterprise Edition instance, to find its id; both empty: Personal Edition."""
    role_arn: str = ""
    oidc_provider_arn: str = ""
    role_name: str = ""
    """Of the node's RAM role, with the metadata server; empty: the one that it names."""

    @property
    def is_enterprise(self) -> bool:
        return bool(self.instance_id or self.instance_name)

    @property
    def cloud_identity(self) -> str:
        return self.role_arn or self.role_name


@dataclass(frozen=True)
class ExecSource:
    plugin: str
    image: str
    """The image in the plug-in's request: host and path, without a tag."""
    api_version: str = "credentialprovider.kubelet.k8s.io/v1"
    identity: Identity = Identity()
    audience: str = ""

    @property
    def cloud_identity(self) -> str:
        return ""


AwsSource = EcrSource | EcrPublicSource
TokenSource = AwsSource | ArtifactRegistrySource | AcrSource | AliyunSource | ExecSource

PROVIDERS: dict[type[TokenSource], str] = {
    EcrSource: "ecr",
    EcrPublicSource: "ecrPublic",
    ArtifactRegistrySource: "artifactRegistry",
    AcrSource: "acr",
    AliyunSource: "aliyun",
    ExecSource: "exec",
}
"""The name of each form, which is also its field in the spec and its label in metrics."""
