"""A real control plane, a real Ceph, a real registry and a real node, as plain processes in one directory."""

from tests.cluster.errors import ClusterError
from tests.cluster.place import Place
from tests.cluster.process import Process
from tests.cluster.wait import wait_for, wait_for_async

__all__ = ["ClusterError", "Place", "Process", "wait_for", "wait_for_async"]
