"""An RBD image and a PersistentVolume for every claim of our StorageClasses, for as long as they are needed."""
