"""The only place that imports rados and rbd: Ceph clusters, their pools and images, for asynchronous callers."""
