"""The clouds' protocols. They get all I/O from a FetchContext, and import neither HTTP nor Kubernetes clients."""
