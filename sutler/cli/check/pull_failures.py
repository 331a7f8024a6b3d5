"""Kinds of pull failures, and the messages of registries, container runtimes and kubelets that mean them.

The runtimes are containerd, CRI-O and docker. Pure: no I/O.
"""

from enum import Enum, auto


class PullFailure(Enum):
    UNKNOWN = auto()
    CREDENTIALS = auto()
    HIDDEN = auto()
    """The registry does not say whether the image is missing or needs a credential."""
    SECRET = auto()
    """The kubelet cannot parse one of the Pod's pull secrets, so it does not pull at all."""
    NEVER = auto()
    """The pull policy is Never, and the node lacks the image or may not use it; the kubelet does not say which."""
    NAME = auto()
    SHORT_NAME = auto()
    SIGNATURE = auto()
    PACE = auto()
    RATE = auto()
    PROXY = auto()
    DISK = auto()
    DNS = auto()
    PLAIN_HTTP = auto()
    TIMEOUT = auto()
    CERTIFICATE = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    CUT = auto()
    PLATFORM = auto()
    FORMAT = auto()
    DAMAGED = auto()
    RULE = auto()
    SERVER = auto()
    NOT_FOUND = auto()
    RUNTIME = auto()


CREDENTIAL_FAILURES = frozenset(
    (PullFailure.UNKNOWN, PullFailure.CREDENTIALS, PullFailure.HIDDEN, PullFailure.SECRET, PullFailure.NEVER)
)
"""Failures whose cause may be the Pod's pull secrets."""

REASONS = {
    "InvalidImageName": PullFailure.NAME,
    "ErrImageNeverPull": PullFailure.NEVER,
    "SignatureValidationFailed": PullFailure.SIGNATURE,
}
"""By the kubelet's reason, if the reason alone is clear."""

VAGUE_REASONS = {"RegistryUnavailable": PullFailure.SERVER, "ImageInspectError": PullFailure.RUNTIME}
"""By the kubelet's reason, if the message has no known meaning."""

PATTERNS = r"""
RUNTIME      dial unix | error while dialing | (containerd|docker|crio)\.sock | connect to the docker daemon
             unknown service runtime | dockershim\.sock
SIGNATURE    signature validation failed | signature was required | signature for identity | source image rejected
             signatures? (verification|is invalid) | invalid signature | no matching signatures | trust data
             cryptographic signature
NEVER        pull policy of never
SHORT_NAME   short[- ]name | unqualified-search
NAME         couldn't parse image | invalid reference format | repository name must be lowercase
             apply default image tag
PACE         pull qps exceeded
DISK         no space left on device | disk quota exceeded | not enough space | insufficient (disk )?space
             read-only file ?system | input/output error | structure needs cleaning
RATE         toomanyrequests | too many requests | rate limit | rate exceeded | quota exceeded | \b429\b
PROXY        proxyconnect | proxy authentication | \b407\b | proxy error | socks connect
DNS          no such host | server misbehaving | name resolution | name or service not known | lookup \S+( on \S+)?:
             could not resolve host
PLAIN_HTTP   http response to https client | first record does not look like a tls handshake | wrong version number
             http request to an https server | malformed http response
TIMEOUT      i/o timeout | handshake timeout | deadline ?exceeded | client\.timeout | timeout exceeded | timed out
             timeout awaiting | operation timeout | request canceled while waiting | no response from
             canceled: no progress
CERTIFICATE  x509 | certificate | tls:  | unknown authority
REFUSED      connection refused | actively refused
UNREACHABLE  no route to host | network is unreachable | host is (down|unreachable) | cannot assign requested address
CUT          connection reset | broken pipe | \beof\b | stream error | connection lost | forcibly closed
             server closed | goaway | use of closed network connection | context canceled | locked for | short read
PLATFORM     no match for platform | no matching manifest for | no image found in (manifest list|image index)
             supported platform | match the specified platform | cannot be used on this platform
             operating system .{0,40}cannot be used | no matching platform | different platform | exec format error
DAMAGED      unexpected commit (digest|size) | failed size validation | digest (mismatch|did not match|verification)
             wrong diff ?id | does not match (expected|digest) | did not match | unexpected end of (file|data)
             invalid (tar header|checksum) | corrupt | filesystem layer verification failed
             would not match destination | gzip: | zstd:  | flate:  | content size of zero
FORMAT       media ?type | manifest (schema )?v1 | schema ?(version )?1\b | prettyjws | unsupported manifest
             unknown manifest | invalid manifest | manifest invalid | unsupported (config|compression)
             no longer supported | not an image | unknown type | missing signature key
             image (config|manifest) .{0,20}(invalid|too large)
RULE         not allowed access | precondition failed | \b412\b | due to configured policy | policy ?violation
             vulnerabilit | quarantine | legal reasons | \b451\b | payment required | \b402\b | blocked by
             is blocked
SERVER       \b50[0-4]  | status( code)?:? (50[0-4]|52\d)\b | internal server error | bad gateway
             service unavailable | gateway time-?out | registry is unavailable
HIDDEN       does not exist or may require | no pull access | may require .?docker login
             requested access to the resource
RUNTIME      \b(open|mkdir|write|l?stat|unlink|rename|l?chown|chmod|mknod|connect|exec|create)\b[^:]*: permission denied
             operation not permitted | operation not supported | cannot allocate memory | too many open files
             snapshotter | failed to (mount|prepare|create (temp|snapshot)) | layer not known | signal: killed
             parent snapshot | mount callback failed | shim | storage driver | lsetxattr | runtime handler | chown\b
CREDENTIALS  \b401\b | \b403\b | unauthori[sz]ed | denied | forbidden | authentication (is )?required
             authorization failed | no basic auth | insufficient_scope | username or password | username/password
             invalid credential | bad credential | credentials | access token | login attempt | expired token
             token (has )?expired | insufficient scopes? | not logged in
NOT_FOUND    not found | manifest[ _]?unknown | name[ _]?unknown | blob[ _]?unknown | \b404\b
             unknown (manifest|repository|image|tag) | does not exist | no such (image|manifest|repository)
             named manifest is not known | repository name not known
CREDENTIALS  failed to authorize | failed to fetch (oauth|anonymous) token | requesting bearer token
SECRET       illegal base64 | invalid character | end of json input | cannot unmarshal | unable to parse auth field
RUNTIME      failed to (register|extract|unpack|apply) layer | failed to (reserve|commit) | unpigz | rootfs
             devicemapper | overlay
"""
"""Lines of alternatives of regular expressions between ` | `, each of the kind that it or a line above it begins with.

The first match counts. Messages about the connection to the registry come before those of the registry.
"""
