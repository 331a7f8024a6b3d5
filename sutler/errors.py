"""The root of every expected error.

    SutlerError
    ├── KubeError                (sutler.kube.errors)
    ├── ImageError, PatternError (sutler.registry)
    └── ...                      each package has its own tree

A SutlerError is shown to the user in one line. Any other exception is a defect of Sutler.
"""


class SutlerError(Exception):
    """Its text names the thing, the value and what to do; it never holds a secret."""
