"""The one adapter between us and the Kubernetes API. Nothing else imports kubernetes_asyncio."""

from sutler.kube.backoff import Backoff
from sutler.kube.client import Client, Json, connect
from sutler.kube.events import EventRecorder
from sutler.kube.lease import Elector
from sutler.kube.queue import WorkQueue
from sutler.kube.reflector import Change, Reflector
from sutler.kube.resources import Resource

__all__ = [
    "Backoff",
    "Change",
    "Client",
    "Elector",
    "EventRecorder",
    "Json",
    "Reflector",
    "Resource",
    "WorkQueue",
    "connect",
]
