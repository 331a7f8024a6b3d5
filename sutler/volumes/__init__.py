"""Pure: what the volumes controller and the command line have to agree on."""
