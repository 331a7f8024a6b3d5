"""Metrics of the secrets controller."""

from sutler.metrics import counter

COPY_WRITES = counter("sutler_secret_copy_writes_total", "Writes of copies, by operation.", ["operation"])
