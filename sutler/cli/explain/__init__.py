"""`sutler explain`: which pull secrets an image gets, which of their keys the kubelet tries, and why."""
