"""What is read without kubectl is what kubectl shows."""

import pytest

from tests.cluster import ClusterError, ControlPlane, reading


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("get pvc -n a", "/api/v1/namespaces/a/persistentvolumeclaims"),
        ("-n a get pvc data", "/api/v1/namespaces/a/persistentvolumeclaims/data"),
        ("get pods", "/api/v1/namespaces/default/pods"),
        ("get events -A --field-selector reason=x,type=y", "/api/v1/events?fieldSelector=reason%3Dx%2Ctype%3Dy"),
        ("get pv pvc-1 -n a", "/api/v1/persistentvolumes/pvc-1"),
        ("get storageclass fast", "/apis/storage.k8s.io/v1/storageclasses/fast"),
        ("get regmap quay", "/apis/sutler.dev/v1alpha1/registrymappings/quay"),
        ("get pod/one -n a", None),
        ("get pods one two", None),
        ("get pods --show-labels", None),
        ("get widgets", None),
        ("create -f -", None),
    ],
)
def test_words_of_kubectl_become_a_path(words: str, path: str | None) -> None:
    assert reading.path(words.split()) == path


def test_what_is_read_is_what_kubectl_shows(control_plane: ControlPlane, namespace: str) -> None:
    for words in (["get", "serviceaccounts"], ["get", "serviceaccount", "default"]):
        where = [*words, "-n", namespace]
        assert reading.path(where)
        slow, quick = control_plane.kubectl(*where, "-o", "yaml"), control_plane.kubectl_json(*where)
        for said in slow, quick:
            assert "managedFields" not in str(said)
        assert quick["kind"] in slow
        listed = quick.get("items", [quick])
        assert [(one["kind"], one["metadata"]["name"]) for one in listed] == [("ServiceAccount", "default")]
    with pytest.raises(ClusterError, match="NotFound"):
        control_plane.kubectl_json("get", "pod", "nothing", "-n", namespace)
    assert control_plane.there(f"/api/v1/namespaces/{namespace}/pods/nothing") is None
