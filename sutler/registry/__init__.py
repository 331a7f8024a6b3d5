"""Image references, registry patterns, mappings and docker configs. Pure: no I/O."""
