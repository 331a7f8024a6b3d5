"""`sutler token`: the tokens of clouds' registries, how long they are good, and a refresh on demand."""
