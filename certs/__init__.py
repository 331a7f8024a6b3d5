"""The webhook's serving certificate: issue, keep, publish, serve, rotate. The only place that imports cryptography."""
