"""The demo's story: Pods with private images, volumes on Ceph, and the REST API, without and with Sutler."""

import json
from pathlib import Path
from typing import Any

from tests.cluster.wait import wait_for
from tests.demo.installing import choose_installation
from tests.demo.lab import Lab
from tests.demo.narrator import Narrator

_CURL = 'curl --silent --cacert $SUTLER_API_CA --header "Authorization: Bearer $SUTLER_API_TOKEN"'
PULL_FAILED = ("ErrImagePull", "ImagePullBackOff")


class Story:
    """Plays the acts in their order; each raises StoryError or TimeoutError at the first unexpected result."""

    def __init__(self, lab: Lab, narrator: Narrator) -> None:
        self.lab = lab
        self.narrator = narrator
        self.installation = choose_installation(lab)

    def play(self) -> None:
        self.versions()
        self.before_sutler()
        self.install()
        self.platform_team()
        self.application_team()
        self.two_registries()
        self.image_volume()
        self.volumes()
        self.console()

    def versions(self) -> None:
        self.narrator.run("kubectl version")
        if self.lab.node:
            self.narrator.run("kubectl get nodes -o wide")
        self.narrator.run("ceph version")

    def before_sutler(self) -> None:
        self.narrator.chapter("A private image without a pull secret")
        self.narrator.run(f"cat {self.lab.example('pod.yaml')}")
        self.narrator.run(f"kubectl create -f {self.lab.example('pod.yaml')}")
        if self.lab.node:
            reason = wait_for(lambda: self._pull_failure("rbd-rest-api"), "the Pod to fail its pull", timeout=60)
            self.narrator.run("kubectl get pod rbd-rest-api")
            self.narrator.expect("the Pod can't pull its image without a secret", reason in PULL_FAILED, wanted=True)
        else:
            self.narrator.explain("(This machine has no node: skopeo sends the registry what the Pod would send.)")
            self.narrator.run(self._skopeo(None), fails=True)
        self.narrator.run("kubectl delete pod rbd-rest-api --wait=true --grace-period=0 --force", show=False)

    def install(self) -> None:
        self.narrator.chapter("Sutler is installed")
        self.installation.install()

    def platform_team(self) -> None:
        self.narrator.chapter("The platform team declares once which registry uses which credential")
        for secret, server in zip(("aliyun-credentials", "example-credentials"), self.servers(), strict=True):
            self.narrator.run(
                f"kubectl -n sutler-system create secret docker-registry {secret} --docker-server={server}"
                " --docker-username=UserName --docker-password=Password"
            )
        self.narrator.run(f"kubectl apply -f {self.lab.example('mappings.yaml')}")
        wait_for(self._mappings_ready, "both mappings to be Ready")
        self.narrator.run("kubectl get registrymappings")

    def servers(self) -> tuple[str, str]:
        aliyun, example = self.lab.hosts
        return f"{aliyun}/xxxx", example

    def application_team(self) -> None:
        self.narrator.chapter("The application team creates the same Pod again")
        self.narrator.run(f"kubectl create -f {self.lab.example('pod.yaml')}")
        self._expect_pull_secrets("rbd-rest-api", ["aliyun-hangzhou"])
        self.narrator.run("kubectl get secret aliyun-hangzhou --show-labels")
        if self.lab.node:
            self._expect_running("rbd-rest-api")
        else:
            self.narrator.run(self._skopeo(self.lab.auth_file("default", "aliyun-hangzhou")))
            self.narrator.explain("✓ The registry accepts the credential in the Pod's pull secret.")
        self.narrator.run(f"kubectl create deployment unmapped --image={self.lab.hosts[0]}/yyyy/app:latest")
        name = wait_for(lambda: self._pod_of("unmapped"), "the Deployment's Pod")
        self._expect_pull_secrets(name, [])

    def two_registries(self) -> None:
        self.narrator.chapter("A Pod with two private registries, in a new namespace")
        self.narrator.run("kubectl create namespace team-a")
        self.narrator.run(f"kubectl -n team-a create -f {self.lab.example('pod-two-registries.yaml')}")
        self._expect_pull_secrets("two-registries", ["aliyun-hangzhou", "example"], namespace="team-a")
        if self.lab.node:
            self._expect_running("two-registries", namespace="team-a")
        self.narrator.run("kubectl get secret -n team-a -l app.kubernetes.io/managed-by=sutler")

    def image_volume(self) -> None:
        self.narrator.chapter("A Pod whose only private image is a volume")
        if lacking := self.lab.why_no_image_volume:
            self.narrator.explain(f"Skipped: {lacking}.")
            return
        example = self.lab.example("pod-image-volume.yaml")
        self.narrator.run(f"cat {example}")
        self.narrator.explain("First without Sutler, which does not change a Pod with this annotation:")
        self.narrator.run(
            f"kubectl annotate --local -f {example} sutler.dev/inject=false -o yaml | kubectl create -f -"
        )
        reason = wait_for(lambda: self._pull_failure("image-volume"), "the Pod to fail its pull", timeout=60)
        self.narrator.run("kubectl get pod image-volume")
        self.narrator.run("kubectl get events --field-selector involvedObject.name=image-volume")
        self.narrator.expect("the volume's image can't be pulled without a secret", reason in PULL_FAILED, wanted=True)
        self.narrator.run("kubectl delete pod image-volume --now")
        self.narrator.explain("Then with Sutler:")
        self.narrator.run(f"kubectl create -f {example}")
        self._expect_pull_secrets("image-volume", ["aliyun-hangzhou"])
        self._expect_running("image-volume")
        output = self.narrator.run("kubectl exec image-volume -- cat /data/www/index.html")
        self.narrator.expect("the container reads a file of the private image", output, "it works\n")

    def volumes(self) -> None:
        self.narrator.chapter("A claim gets its RBD image")
        self.narrator.run(f"kubectl apply -f {self.lab.example('storageclass.yaml')}")
        self.narrator.run("rbd ls rbd")
        self.narrator.run(f"kubectl create -f {self.lab.example('claim.yaml')}")
        wait_for(lambda: self._claim_phase() == "Bound", "the claim to be Bound")
        self.narrator.run("kubectl get pvc data")
        volume = self._json("get pvc data")["spec"]["volumeName"]
        image = self._json(f"get pv {volume}")["spec"]["csi"]["volumeHandle"]
        self.narrator.run(f"rbd info rbd/{image}")
        size = json.loads(self.narrator.run(f"rbd info rbd/{image} --format json", show=False))["size"]
        self.narrator.expect("the image has exactly 1.5Gi = 1,610,612,736 bytes", size, 1_610_612_736)
        self.narrator.run("kubectl get events --field-selector involvedObject.name=data")
        self.narrator.run("kubectl delete pvc data")
        wait_for(lambda: self.narrator.run("rbd ls rbd", show=False).strip() == "", "the image to be deleted")
        wait_for(lambda: not self._json("get pv")["items"], "the volume to be deleted")
        self.narrator.run("rbd ls rbd")
        self.narrator.expect("the image was deleted with the claim", self.narrator.run("rbd ls rbd", show=False), "")

    def console(self) -> None:
        self.narrator.chapter("A console manages pools and images over HTTPS")
        self.installation.open_api()
        self.narrator.run(f"{_CURL} $SUTLER_API_URL/api/v1/status")
        self.narrator.run("sutler pools list")
        self.narrator.run("sutler images create rbd/go-ceph-image 1Mi --order 20")
        self.narrator.run("sutler images list rbd")
        self.narrator.explain(
            "librbd rejects an image of 1<<10 bytes with order 10 with “rbd: ret=-33”, and no reason."
        )
        output = self.narrator.run("sutler images create rbd/puzzle 1024 --order 10", fails=True)
        self.narrator.expect("Sutler names the accepted values", "12 to 25" in output, wanted=True)
        self.narrator.run("sutler images delete rbd/go-ceph-image")
        self.narrator.expect("the image is deleted", self.narrator.run("rbd ls rbd", show=False), "")

    def _expect_pull_secrets(self, pod: str, wanted: list[str], namespace: str = "default") -> None:
        self.narrator.run(f"kubectl get pod {pod} -n {namespace} -o jsonpath={{.spec.imagePullSecrets}}")
        secrets = self._json(f"get pod {pod} -n {namespace}")["spec"].get("imagePullSecrets", [])
        names = [secret["name"] for secret in secrets]
        self.narrator.expect(f"Pod {pod} has its pull secrets: {', '.join(wanted) or 'none'}", names, wanted)

    def _expect_running(self, pod: str, namespace: str = "default") -> None:
        wait_for(lambda: self._phase(pod, namespace) == "Running", f"Pod {pod} to be Running", timeout=90)
        self.narrator.run(f"kubectl get pod {pod} -n {namespace}")

    def _mappings_ready(self) -> bool:
        mappings = self._json("get registrymappings")["items"]
        return all(
            any(c["type"] == "Ready" and c["status"] == "True" for c in m.get("status", {}).get("conditions", []))
            for m in mappings
        )

    def _pull_failure(self, pod: str) -> str | None:
        for container in self._json(f"get pod {pod}")["status"].get("containerStatuses", []):
            reason: str = container["state"].get("waiting", {}).get("reason", "")
            if reason in PULL_FAILED:
                return reason
        return None

    def _pod_of(self, app: str) -> str | None:
        pods = self._json(f"get pods -l app={app}")["items"]
        return str(pods[0]["metadata"]["name"]) if pods else None

    def _phase(self, pod: str, namespace: str) -> str:
        return str(self._json(f"get pod {pod} -n {namespace}")["status"].get("phase"))

    def _claim_phase(self) -> str:
        return str(self._json("get pvc data")["status"].get("phase"))

    def _json(self, what: str) -> Any:
        return json.loads(self.narrator.run(f"kubectl {what} -o json", show=False))

    def _skopeo(self, auth_file: Path | None) -> str:
        auth = f"--authfile {auth_file}" if auth_file else "--no-creds"
        return f"skopeo inspect --tls-verify=false {auth} docker://localhost:{self.lab.registry.port}/xxxx/rbd-rest-api:latest"
