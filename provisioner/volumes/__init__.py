"""Provisions an RBD image and a PersistentVolume for each claim of Sutler's StorageClasses, and deletes them."""
