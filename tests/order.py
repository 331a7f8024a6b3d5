"""In which order files of tests are given to workers: what takes longest first, so that none of it is left over."""

# Half a minute and more each, where nothing else is at work on two cores.
LONGEST = (
    "tests/demo/test_demo.py",
    "tests/node/test_in_cluster.py",
    "tests/node/test_doctor.py",
    "tests/node/test_node.py",
    "tests/node/test_tokens.py",
    "tests/volumes/test_adopt_killed.py",
    "tests/volumes/test_killed_everywhere.py",
    "tests/volumes/test_snapshots_killed.py",
    "tests/volumes/test_deletion_orders.py",
    "tests/volumes/test_restore.py",
    "tests/volumes/test_snapshots.py",
    "tests/installed/test_life.py",
    "tests/volumes/test_names_change.py",
    "tests/volumes/test_adopt.py",
    "tests/volumes/test_faults.py",
    "tests/webhook/test_load.py",
    "tests/package/test_wheel.py",
    "tests/ground/test_lifecycle.py",
    "tests/webhook/test_check_install.py",
    "tests/webhook/test_cluster.py",
    "tests/manifests/test_overlays.py",
    "tests/secrets/test_copies.py",
    "tests/cli/test_registry.py",
)


def rank(file: str, started: int) -> tuple[int, int]:
    """To sort by. `started`: how many of its tests start something, which take longer than others."""
    return (LONGEST.index(file) if file in LONGEST else len(LONGEST), -started)
