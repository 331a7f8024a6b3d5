"""`sutler version`: the versions of the command, the cluster, Sutler's kinds and its processes."""
