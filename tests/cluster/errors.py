class ClusterError(Exception):
    """What a person can do something about: shown as its text alone, without a traceback."""
