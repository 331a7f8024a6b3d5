"""kubernetes-asyncio's configuration and transport, without its six hundred models.

`import kubernetes_asyncio` executes every generated API and model class. That takes 34 MiB of memory and a third of a
second on a fast machine, in every replica of every process, for classes that Sutler never uses: objects are plain
JSON here. So the packages `kubernetes_asyncio` and `kubernetes_asyncio.client` are replaced by empty ones with the same
search path while the few modules that Sutler uses are imported, unchanged. Afterwards sys.modules is as before: a later
import of the library gets all of it.

If a release of the library has another layout, the ordinary import is used and a warning is logged.
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = "kubernetes_asyncio"
_CLIENT = f"{_ROOT}.client"

# At DEBUG this logger prints the body of every response, Secrets included.
logging.getLogger(_ROOT).setLevel(logging.INFO)
logging.getLogger(f"{_CLIENT}.rest").setLevel(logging.INFO)


@dataclass(frozen=True)
class ClientLibrary:
    """The parts of kubernetes-asyncio that Sutler uses. It has no types, so these are Any."""

    Configuration: Callable[[], Any]
    RESTClientObject: Callable[[Any], Any]
    load_kube_config: Callable[..., Awaitable[Any]]
    load_incluster_config: Callable[..., None]
    modules: tuple[ModuleType, ...]


def load() -> ClientLibrary:
    """Import the needed modules alone; import the whole library if that fails or it has been imported already."""
    if _ROOT not in sys.modules:
        try:
            return _load_slim()
        except Exception as error:  # noqa: BLE001 - after any error the ordinary import decides
            logging.getLogger(__name__).warning(
                "importing all of kubernetes_asyncio, which takes more memory: %s: %s", type(error).__name__, error
            )
    return _import_modules()


def _load_slim() -> ClientLibrary:
    spec = importlib.util.find_spec(_ROOT)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{_ROOT} is not installed as a package")
    folders = list(spec.submodule_search_locations)
    sys.modules[_ROOT] = _empty_package(_ROOT, folders)
    client = sys.modules[_CLIENT] = _empty_package(_CLIENT, [str(Path(folder) / "client") for folder in folders])
    try:
        client.__dict__["Configuration"] = importlib.import_module(f"{_CLIENT}.configuration").Configuration
        # config.kube_config imports this name; only functions that Sutler does not call use it.
        client.__dict__["ApiClient"] = None
        return _import_modules()
    finally:
        for name in [name for name in sys.modules if name == _ROOT or name.startswith(f"{_ROOT}.")]:
            del sys.modules[name]


def _empty_package(name: str, folders: list[str]) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = folders
    return module


def _import_modules() -> ClientLibrary:
    configuration = importlib.import_module(f"{_CLIENT}.configuration")
    rest = importlib.import_module(f"{_CLIENT}.rest")
    config = importlib.import_module(f"{_ROOT}.config")
    return ClientLibrary(
        Configuration=configuration.Configuration,
        RESTClientObject=rest.RESTClientObject,
        load_kube_config=config.load_kube_config,
        load_incluster_config=config.load_incluster_config,
        modules=(configuration, rest, config),
    )
