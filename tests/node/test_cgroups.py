"""What /proc/PID/cgroup says, on machines of either version."""

from tests.cluster import cgroups


def test_version_1_has_each_hierarchy_at_its_own_path() -> None:
    hierarchies = cgroups.parse("4:memory:/a\n2:cpu,cpuacct:/\n1:name=systemd:/user\n0::/a\n")
    assert [(str(one.mount_point), str(one.subtree("node"))) for one in hierarchies] == [
        ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a/node"),
        ("/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/node"),
        ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/systemd/user/node"),
    ]


def test_version_2_has_one_hierarchy_and_the_subtree_at_its_top() -> None:
    (only,) = cgroups.parse("0::/user.slice/session-1.scope\n")
    assert str(only.mount_point) == "/sys/fs/cgroup"
    assert str(only.subtree("node")) == "/sys/fs/cgroup/node"


def test_version_1_lacks_the_controllers_that_are_not_mounted() -> None:
    assert cgroups.lacking(cgroups.parse("3:memory:/\n2:cpu,cpuacct:/\n0::/\n")) == ["cpuset"]
