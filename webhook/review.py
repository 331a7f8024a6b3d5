"""AdmissionReview v1 and its encoding. Only the fields that are used get decoded; the decoder skips all others.

The types mirror the API one to one. Their fields are in the order in which the API server writes them, which makes
decoding faster. A field that may be null in JSON may be None here.
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from sutler import well_known
from sutler.errors import SutlerError

API_VERSION = "admission.k8s.io/v1"


class ReviewError(SutlerError):
    """The request is not an AdmissionReview that can be decided; the text says why."""


class Annotations(Struct, gc=False):
    inject: str | None = field(name=well_known.INJECT, default=None)
    mirror: str | None = field(name=well_known.MIRROR, default=None)


class Labels(Struct, gc=False):
    inject: str | None = field(name=well_known.INJECT, default=None)


class Metadata(Struct, gc=False):
    labels: Labels | None = None
    annotations: Annotations | None = None


class Container(Struct, gc=False):
    image: str | None = None


class ImageSource(Struct, gc=False):
    reference: str | None = None


class Volume(Struct, gc=False):
    image: ImageSource | None = None


class LocalObjectReference(Struct, gc=False):
    name: str | None = None


class PodSpec(Struct, gc=False, rename="camel"):
    volumes: list[Volume | None] | None = None
    init_containers: list[Container | None] | None = None
    containers: list[Container | None] | None = None
    ephemeral_containers: list[Container | None] | None = None
    service_account_name: str | None = None
    image_pull_secrets: list[LocalObjectReference | None] | None = None

    def images(self) -> tuple[str, ...]:
        """All images that the kubelet pulls for the Pod, each once."""
        found = []
        for containers in (self.init_containers, self.containers, self.ephemeral_containers):
            if containers:
                found += [container.image for container in containers if container and container.image]
        if self.volumes:
            found += [volume.image.reference or "" for volume in self.volumes if volume and volume.image]
        return tuple(dict.fromkeys(filter(None, found)))

    def secrets(self) -> tuple[str, ...] | None:
        """Names of the pull secrets, "" for an entry without a name; None for a Pod without entries."""
        if not self.image_pull_secrets:
            return None
        return tuple((reference and reference.name) or "" for reference in self.image_pull_secrets)


class ReviewedPod(Struct, gc=False):
    metadata: Metadata | None = None
    spec: PodSpec | None = None


class GroupVersionResource(Struct, gc=False):
    group: str = ""
    resource: str = ""


class ReviewRequest(Struct, gc=False, rename="camel"):
    uid: str = ""
    resource: GroupVersionResource | None = None
    sub_resource: str | None = None
    namespace: str | None = None
    operation: str = ""
    object: ReviewedPod | None = None
    old_object: Raw | UnsetType = UNSET

    def old_pod(self) -> ReviewedPod:
        """Decode the Pod before the update. Raises ReviewError."""
        try:
            return (_pod.decode(self.old_object) if self.old_object else None) or ReviewedPod()
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ReviewError(f"request.oldObject is not a Pod: {error}") from None


class Review(Struct, gc=False, rename="camel"):
    kind: str = ""
    api_version: str = ""
    request: ReviewRequest | None = None


class ReviewResponse(Struct, gc=False, omit_defaults=True, rename="camel"):
    """A response without its uid. It always allows; `patch` and `patch_type` are both set or both not."""

    allowed: bool = field(default_factory=lambda: True)  # a plain default would be left out
    patch: bytes | None = None  # base64 in JSON
    patch_type: str | None = None
    warnings: list[str] | None = None
    audit_annotations: dict[str, str] | None = None


_review = msgspec.json.Decoder(Review)
_pod = msgspec.json.Decoder(ReviewedPod | None)
_encoder = msgspec.json.Encoder()
_HEAD = b'{"apiVersion":"%b","kind":"AdmissionReview","response":{"uid":' % API_VERSION.encode()


def decode(body: bytes) -> ReviewRequest:
    """Decode a request body. Raises ReviewError."""
    try:
        review = _review.decode(body)
    except msgspec.ValidationError as error:
        raise ReviewError(f"not an AdmissionReview of a Pod: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReviewError(f"the body is not JSON: {error}" if body else "the body is empty") from None
    request = review.request
    if review.kind != "AdmissionReview" or review.api_version != API_VERSION:
        raise ReviewError(
            f"expected kind AdmissionReview of {API_VERSION}, got {review.kind[:60]!r} of {review.api_version[:60]!r} "
            "(admissionReviewVersions in the webhook configuration must be [v1])"
        )
    if request is None:
        raise ReviewError("request is missing")
    if not request.uid:
        raise ReviewError("request.uid is missing")
    return request


def encode(response: ReviewResponse) -> bytes:
    """Encode a response without the beginning, which has the uid: `render_review` completes it."""
    return b"," + _encoder.encode(response)[1:] + b"}"


def render_review(uid: str, encoded: bytes) -> bytes:
    """Render the AdmissionReview that answers the request with this uid."""
    return _HEAD + _encoder.encode(uid) + encoded
