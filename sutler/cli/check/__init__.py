"""`sutler doctor` and `sutler check-install`: checks of a cluster, each of which returns findings."""
