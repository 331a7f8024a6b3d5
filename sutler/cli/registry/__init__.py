"""`sutler registry`: which registries use which credential."""
