"""`sutler snapshots`: VolumeSnapshots of claims, and the snapshots in Ceph behind them."""
