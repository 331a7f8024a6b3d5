"""Types that every layer uses."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
"""An object of the Kubernetes API or of the REST API, as JSON has it."""
JsonMapping = Mapping[str, Any]
"""The same where it is only read."""
