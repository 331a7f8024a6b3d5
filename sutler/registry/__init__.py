"""Image references, registry patterns, mappings and docker configs. Pure: no cluster, no I/O."""
