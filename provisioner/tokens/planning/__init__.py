"""Pure: the spec of a RegistryToken, when its token is refreshed, what its Secret and its status hold, signatures."""
