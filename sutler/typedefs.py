"""Types that every layer uses."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
"""An object of the Kubernetes API or of the REST API, decoded from JSON."""
JsonMapping = Mapping[str, Any]
"""Such an object where it is only read."""
