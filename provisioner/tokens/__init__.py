"""Keeps source Secrets whose passwords expire: RegistryToken -> provider -> Secret in Sutler's own namespace."""
