"""Metrics of the secrets controller."""

from sutler.metrics import counter

COPY_WRITES = counter("sutler_secret_copy_writes_total", "Writes of copies, by operation.", ["operation"])
for _operation in ("create", "patch", "delete"):
    COPY_WRITES.labels(_operation)  # from 0 on: a rate does not see a series that begins with 1
