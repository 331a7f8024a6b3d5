"""One mon, one mgr and one OSD as plain processes with all state in one directory."""

import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tests.cluster import ceph_admin, ceph_calls, ceph_keys, ceph_programs, rbd_calls
from tests.cluster.ceph_keys import Capabilities, Cipher
from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.process import Process

Store = Literal["memstore", "bluestore"]

# As librados waits in ceph_admin.
_SECONDS = 60.0
_BLUESTORE_SIZE = 4 << 30  # a sparse file

_CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {state}/keyring
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = {state}
admin socket = {state}/$name.asok
pid file =
log to file = false
log to stderr = true
mon cluster log to file = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = false
osd crush chooseleaf type = 0
# A PG with one copy has no peer to renew its read lease with: one that was frozen beyond it stays "laggy" for good, and
# whether it does is a race. 100 times the heartbeat grace is longer than any test freezes anything.
osd pool default read lease ratio = 100

[client]
# Any number of clients at once: none may listen under the daemons' fixed names.
admin socket =

[mon]
keyring = {state}/daemons.keyring
mon data = {state}/mon
mon data avail crit = 1
mon data avail warn = 1
# A lone monitor waits for no other: a change of a map takes 0.05 s instead of 1 s.
paxos propose interval = 0.05
paxos min wait = 0.02

[mgr]
keyring = {state}/daemons.keyring
mgr data = {state}/mgr
# None of its modules, in Python, is asked for anything here: to load them all takes seconds of a core.
mgr module path = {state}/mgr
ms bind port min = {mgr_first}
ms bind port max = {mgr_last}

[osd]
keyring = {state}/daemons.keyring
osd data = {state}/osd
osd objectstore = {store}
memstore device bytes = 8589934592
bluestore block size = {bluestore_size}
bluestore fsck on mount = false
ms bind port min = {osd_first}
ms bind port max = {osd_last}
crush location = root=default host=h0
osd crush initial weight = 1
"""

_EVERYTHING = {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}
_ADMINISTRATOR = "client.admin"
_DAEMONS: Mapping[str, Capabilities] = {
    "mon.": {"mon": "allow *"},
    _ADMINISTRATOR: _EVERYTHING | {"mds": "allow *"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
}


# What each of these clusters complains of: the manager's modules, which are not there to be loaded.
_NO_MODULES = "MGR_MODULE_ERROR"
# By release: 20 warns while it accepts secrets of the old kind.
_ACCEPTED_WARNINGS = {
    "20": ["AUTH_INSECURE_CLIENT_KEY_TYPE", "AUTH_INSECURE_KEYS_ALLOWED", "AUTH_INSECURE_KEYS_CREATABLE"],
}


class Ceph:
    """A Ceph with cephx on; `conf` and the keyring beside it make anybody its administrator.

    Args:
        store: memstore forgets everything when its OSD ends.
        release: of SUITES in ceph_programs. Default: what the environment variable CEPH names.
        cipher: of the clients' secrets. Ceph 20 accepts the old "aes" where it was upgraded from an older release, and
            only "aes256k" where it was made by itself. Default: the newest that the cluster and this machine know.
    """

    mon: Process
    mgr: Process
    osd: Process

    def __init__(
        self,
        state: Path,
        place: Place,
        store: Store = "memstore",
        *,
        release: str | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        self.state = state.absolute()
        self.place = place
        self.store = store
        self.release = release or ceph_programs.named()
        self.cipher = cipher or ("aes256k" if self._knows_aes256k and ceph_programs.clients_know_aes256k() else "aes")
        self.conf = self.state / "ceph.conf"
        self._started: list[Process] = []

    def start(self) -> None:
        self._programs = ceph_programs.ensured(self.release)
        self.state.mkdir(parents=True, exist_ok=True)
        try:
            self._start_mon()
            self._start_osd()
            self._accept_warnings()
            self.mgr = self._daemon("ceph-mgr", "x")
            self.osd.until(self._osd_up, "the OSD to be up", 150)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all three; nothing in a test's Ceph is worth the time of a clean end."""
        ceph_admin.close(self.conf)
        for process in reversed(self._started):
            process.stop(grace=0 if self.store == "memstore" else 5)
        self._started.clear()

    def ceph(self, *args: str, input: str | None = None, timeout: float = _SECONDS) -> str:  # noqa: A002 - as in subprocess.run
        """Do what `ceph` does as the administrator and return what it prints; ClusterError when it fails."""
        if self._known_here and timeout == _SECONDS:
            printed = ceph_calls.called(self.conf, args, input)
            if printed is not None:
                return printed
        return self._run(["ceph", f"--connect-timeout={timeout:g}", *args], input, timeout)

    def rbd(self, *args: str, input: str | None = None, timeout: float = _SECONDS) -> str:  # noqa: A002 - as in subprocess.run
        """Do what `rbd` does as the administrator and return what it prints; ClusterError when it fails.

        Common words are calls of this machine's librbd.
        """
        if self._known_here and timeout == _SECONDS:
            printed = rbd_calls.called(self.conf, args)
            if printed is not None:
                return printed
        return self.rbd_program(*args, input=input, timeout=timeout)

    def rbd_program(self, *args: str, input: str | None = None, timeout: float = _SECONDS) -> str:  # noqa: A002 - as in subprocess.run
        """Run the `rbd` of this cluster's release; ClusterError when it fails."""
        return self._run(["rbd", *args], input, timeout)

    def wait_for_manager(self) -> None:
        """Statistics come from the manager, which takes seconds longer than all else: `start` does not wait for it."""
        self.mgr.until(lambda: self._command("mgr stat")["available"], "the manager", 150)

    def pool(self, name: str) -> str:
        """Make a pool for RBD images."""
        if self._known_here:
            ceph_admin.create_pool(self.conf, name)
        else:
            self.ceph("osd", "pool", "create", name)
            self.rbd("pool", "init", name)
        return name

    def remove_pool(self, name: str) -> None:
        if self._known_here:
            ceph_admin.delete_pool(self.conf, name)
        else:
            self.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")

    def client_conf(self, folder: Path, users: Mapping[str, Capabilities]) -> Path:
        """Make users, by name without "client.", and return a configuration with a keyring of theirs alone."""
        folder.mkdir(parents=True, exist_ok=True)
        keyring = folder / "keyring"
        named = {f"client.{name}": allowed for name, allowed in users.items()}
        ceph_keys.write(keyring, named, dict.fromkeys(named, self.cipher))
        # By standard input: the folder need not be among those that the programs of another Debian see.
        self.ceph("auth", "import", "-i", "-", input=keyring.read_text())
        conf = folder / "ceph.conf"
        conf.write_text(self.conf.read_text().replace(f"keyring = {self.state}/keyring", f"keyring = {keyring}"))
        return conf

    def _start_mon(self) -> None:
        # Monitor: v2 and v1. Manager: v2 and v1. OSD: v2 and v1 each for clients, for OSDs and two heartbeats.
        ports = self.place.ports(12)
        mon, mgr, osd = ports[:2], ports[2:4], ports[4:]
        fsid = str(uuid.uuid4())
        self.conf.write_text(
            _CONF.format(
                fsid=fsid,
                state=self.state,
                store=self.store,
                bluestore_size=_BLUESTORE_SIZE,
                mon_v2=mon[0],
                mon_v1=mon[1],
                mgr_first=mgr[0],
                mgr_last=mgr[-1],
                osd_first=osd[0],
                osd_last=osd[-1],
            )
        )
        # The monitor learns every key from it when it is made. Clients have their own: an older one can't read a file
        # with newer secrets in it.
        ceph_keys.write(self.state / "daemons.keyring", _DAEMONS, self._ciphers())
        ceph_keys.copy(_ADMINISTRATOR, self.state / "daemons.keyring", self.state / "keyring")
        addresses = f"[v2:127.0.0.1:{mon[0]},v1:127.0.0.1:{mon[1]}]"
        monmap = str(self.state / "monmap")
        made = ["monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", addresses]
        self._run([*made, *self._old_secrets_allowed(), monmap])
        self._run(
            ["ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", str(self.state / "daemons.keyring")]
        )
        self.mon = self._daemon("ceph-mon", "a")
        self.place.forward(*ports)

    def _start_osd(self) -> None:
        # The map and the store must carry the same id, or the OSD never comes up and says nothing about it.
        osd_id = str(uuid.uuid4())
        for folder in ("osd", "mgr"):
            (self.state / folder).mkdir(exist_ok=True)
        self._command("osd new", uuid=osd_id)
        self._run(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id])
        self.osd = self._daemon("ceph-osd", "0")

    def _accept_warnings(self) -> None:
        """As the administrator of such a cluster does, who wants to see the others."""
        for code in (_NO_MODULES, *_ACCEPTED_WARNINGS.get(self.release, ())):
            self._command("health mute", code=code, ttl="1w", sticky=True)

    def _daemon(self, program: str, name: str) -> Process:
        argv = [program, "-f", "-c", str(self.conf), "-i", name]
        # From "/": Debian's newer releases look for the OSD's classes by a relative path.
        process = Process.started(
            self._programs.command(argv, self.state),
            place=self.place,
            log=self.state / f"{program}.log",
            env=self._env(),
            cwd=Path("/"),
        )
        process.name = program
        self._started.append(process)
        return process

    def _ciphers(self) -> dict[str, Cipher]:
        """Daemons of a release that knows it have the newer kind: an upgrade renews theirs, and warns until then."""
        if not self._knows_aes256k:
            return {}
        ciphers: dict[str, Cipher] = dict.fromkeys(_DAEMONS, "aes256k")
        return ciphers | {_ADMINISTRATOR: self.cipher}

    @property
    def _knows_aes256k(self) -> bool:
        return ceph_programs.knows_aes256k(self.release)

    def _old_secrets_allowed(self) -> list[str]:
        """For monmaptool: as in a cluster that an older release has made."""
        if not self._knows_aes256k or self.cipher == "aes256k":
            return []
        return ["--auth-allowed-ciphers=aes,aes256k", "--auth-preferred-cipher=aes"]

    def _osd_up(self) -> bool:
        return bool(self._command("osd stat")["num_up_osds"])

    def _command(self, prefix: str, **arguments: str | bool) -> Any:
        """Of the administrator, with named arguments in the order in which `ceph` takes them; its answer as JSON."""
        if self._known_here:
            return ceph_admin.command(self.conf, prefix, **arguments)
        words = [f"--{name}" if value is True else str(value) for name, value in arguments.items()]
        return json.loads(self.ceph(*prefix.split(), *words, "-f", "json").strip() or "null")

    @property
    def _known_here(self) -> bool:
        """Whether this machine's librados can read the administrator's secret."""
        return self.cipher == "aes" or ceph_programs.clients_know_aes256k()

    def _run(self, command: list[str], input: str | None = None, timeout: float = 60) -> str:  # noqa: A002 - as in subprocess.run
        try:
            ran = subprocess.run(
                self._programs.command(command, self.state),
                input=input,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                env=self._env(),
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{' '.join(command)}: no answer within {timeout:g} s") from None
        if ran.returncode != 0:
            raise ClusterError(f"{' '.join(command)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout

    def _env(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self.conf)}
