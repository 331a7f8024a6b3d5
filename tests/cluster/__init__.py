"""A real control plane, a real Ceph, a real registry and a real node, as plain processes in one directory."""

from tests.cluster.ceph import Ceph
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.process import Process
from tests.cluster.registry import Registry
from tests.cluster.sutler import SutlerProcess
from tests.cluster.wait import quickest, wait_for, wait_for_async

__all__ = [
    "Ceph",
    "ClusterError",
    "ControlPlane",
    "Place",
    "Process",
    "Registry",
    "SutlerProcess",
    "quickest",
    "wait_for",
    "wait_for_async",
]
