"""Copies of pull secrets in the namespaces that mappings select."""
