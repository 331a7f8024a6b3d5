"""What stands against a claim or a volume is said where its owner looks."""

from tests.cluster import wait_for
from tests.volumes.world import World, claim


def test_claim_of_a_class_with_a_mistake_says_which_and_is_served_when_it_is_mended(world: World) -> None:
    cls = world.storage_class(annotations={"sutler.dev/deletion-policy": "Trash"})
    world.apply(claim("data", cls))
    world.wait_event("data", "ProvisioningFailed", "'Trash' is not one of remove, trash")
    world.wait_event(cls, "InvalidParameters", "'Trash' is not one of remove, trash", namespace="default")
    world.control_plane.kubectl("annotate", "storageclass", cls, "--overwrite", "sutler.dev/deletion-policy=trash")
    world.wait_bound()
    assert world.volume_of("data")["metadata"]["annotations"]["sutler.dev/deletion-policy"] == "trash"
    assert len(world.events("data", "ProvisioningFailed")) == 1


def test_annotation_that_means_yes_is_obeyed_and_the_secrets_name_is_taken_from_the_claim(world: World) -> None:
    prefix = "csi.storage.k8s.io/node-stage-secret"
    cls = world.storage_class(
        {f"{prefix}-name": "${pvc.annotations['team.example.com/key']}", f"{prefix}-namespace": "${pvc.namespace}"},
        annotations={"sutler.dev/provision": "true"},
        provisioner="rook-ceph.rbd.csi.ceph.com",
    )
    wanted = claim("data", cls)
    wanted["metadata"]["annotations"] = {"team.example.com/key": "blue"}
    world.apply(wanted, claim("without", cls))
    world.wait_event("without", "ProvisioningFailed", "annotation team.example.com/key, which is missing: set it")
    wait_for(lambda: world.get("pvc", "data")["status"]["phase"] == "Bound", "the claim to be Bound")
    source = world.volume_of("data")["spec"]["csi"]
    assert source["driver"] == "rook-ceph.rbd.csi.ceph.com"
    assert source["nodeStageSecretRef"] == {"name": "blue", "namespace": world.namespace}
    world.kubectl("annotate", "pvc", "without", "team.example.com/key=green")
    world.wait_bound(2)


def test_volume_that_a_node_still_has_names_the_node_and_goes_when_it_is_detached(world: World) -> None:
    cls = world.storage_class()
    world.apply(claim("data", cls))
    world.wait_bound()
    volume = world.volume_of("data")["metadata"]["name"]
    attachment = f"csi-{cls}"
    world.apply(
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
    world.delete_claims()
    event = world.wait_event(volume, "VolumeFailedDelete", "gone-node", namespace="default")
    assert f"kubectl delete volumeattachment {attachment}" in event["message"]
    assert len(world.images()) == 1
    world.control_plane.kubectl("delete", "volumeattachment", attachment)
    world.wait_gone()
