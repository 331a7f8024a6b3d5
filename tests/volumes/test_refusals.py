"""What blocks a claim or a volume is shown by an event on it."""

from tests.cluster import wait_for
from tests.volumes.volume_env import VolumeEnv, claim


def test_claim_of_an_invalid_class_shows_the_problem_and_is_served_once_it_is_fixed(env: VolumeEnv) -> None:
    cls = env.storage_class(annotations={"sutler.dev/deletion-policy": "Trash"})
    env.apply(claim("data", cls))
    env.wait_event("data", "ProvisioningFailed", "'Trash' is not one of remove, trash")
    env.wait_event(cls, "InvalidParameters", "'Trash' is not one of remove, trash", namespace="default")
    env.control_plane.kubectl("annotate", "storageclass", cls, "--overwrite", "sutler.dev/deletion-policy=trash")
    env.wait_bound()
    assert env.volume_of("data")["metadata"]["annotations"]["sutler.dev/deletion-policy"] == "trash"
    assert len(env.events("data", "ProvisioningFailed")) == 1


def test_annotation_that_means_yes_is_obeyed_and_the_secrets_name_is_taken_from_the_claim(env: VolumeEnv) -> None:
    prefix = "csi.storage.k8s.io/node-stage-secret"
    cls = env.storage_class(
        {f"{prefix}-name": "${pvc.annotations['team.example.com/key']}", f"{prefix}-namespace": "${pvc.namespace}"},
        annotations={"sutler.dev/provision": "true"},
        provisioner="rook-ceph.rbd.csi.ceph.com",
    )
    wanted = claim("data", cls)
    wanted["metadata"]["annotations"] = {"team.example.com/key": "blue"}
    env.apply(wanted, claim("without", cls))
    env.wait_event("without", "ProvisioningFailed", "annotation team.example.com/key, which is missing: set it")
    wait_for(lambda: env.get("pvc", "data")["status"]["phase"] == "Bound", "the claim to be Bound")
    source = env.volume_of("data")["spec"]["csi"]
    assert source["driver"] == "rook-ceph.rbd.csi.ceph.com"
    assert source["nodeStageSecretRef"] == {"name": "blue", "namespace": env.namespace}
    env.kubectl("annotate", "pvc", "without", "team.example.com/key=green")
    env.wait_bound(2)


def test_volume_that_a_node_still_has_names_the_node_and_goes_when_it_is_detached(env: VolumeEnv) -> None:
    cls = env.storage_class()
    env.apply(claim("data", cls))
    env.wait_bound()
    volume = env.volume_of("data")["metadata"]["name"]
    attachment = f"csi-{cls}"
    env.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": attachment},
            "spec": {
                "attacher": "rbd.csi.ceph.com",
                "nodeName": "gone-node",
                "source": {"persistentVolumeName": volume},
            },
        }
    )
    env.delete_claims()
    event = env.wait_event(volume, "VolumeFailedDelete", "gone-node", namespace="default")
    assert f"kubectl delete volumeattachment {attachment}" in event["message"]
    assert len(env.images()) == 1
    env.control_plane.kubectl("delete", "volumeattachment", attachment)
    env.wait_gone()
