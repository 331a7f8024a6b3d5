"""What the volumes controller, the REST API and the command line have to agree on. Pure: no I/O."""
