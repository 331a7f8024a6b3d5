"""Checks, by what they look at. Pure: each turns a ClusterState into findings."""
