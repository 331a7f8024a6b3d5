"""The root of every error that we expect.

    SutlerError
    ├── KubeError                (sutler.kube.errors)
    ├── ImageError, PatternError (sutler.registry)
    └── ...                      each package hangs its own tree here

What is raised as a SutlerError is told to the user in one line. Anything else is a defect of ours.
"""


class SutlerError(Exception):
    """Its text names the thing, the value and the way out; it never holds a secret."""
