"""Models of requests and responses, one module for each resource: they validate, serialize and document."""
