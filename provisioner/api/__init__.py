"""The REST API for pools and images: `python -m provisioner api`."""
