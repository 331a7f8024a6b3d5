"""The two stories of 2016, told again with Sutler: private images, and RBD images before every volume."""

import json
from pathlib import Path
from typing import Any

from tests.cluster.wait import wait_for
from tests.demo.installing import way
from tests.demo.lab import Lab
from tests.demo.narrator import Narrator

_CURL = 'curl --silent --cacert $SUTLER_API_CA --header "Authorization: Bearer $SUTLER_API_TOKEN"'
PULL_FAILED = ("ErrImagePull", "ImagePullBackOff")


class Story:
    """Plays the acts in their order; each raises StoryError or TimeoutError at the first thing that is not right."""

    def __init__(self, lab: Lab, narrator: Narrator) -> None:
        self.lab = lab
        self.tell = narrator
        self.way = way(lab)

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
        self.tell.run("kubectl version")
        if self.lab.node:
            self.tell.run("kubectl get nodes -o wide")
        self.tell.run("ceph version")

    def before_sutler(self) -> None:
        self.tell.chapter("2016: a private image, and nobody made a secret")
        self.tell.run(f"cat {self.lab.example('pod.yaml')}")
        self.tell.run(f"kubectl create -f {self.lab.example('pod.yaml')}")
        if self.lab.node:
            reason = wait_for(lambda: self._pull_failure("rbd-rest-api"), "the Pod to fail its pull", timeout=60)
            self.tell.run("kubectl get pod rbd-rest-api")
            self.tell.expect("the Pod can't pull its image without a secret", reason in PULL_FAILED, wanted=True)
        else:
            self.tell.say("(No node on this machine: the registry itself is asked, with what the Pod would send.)")
            self.tell.run(self._skopeo(None), fails=True)
        self.tell.run("kubectl delete pod rbd-rest-api --wait=true --grace-period=0 --force", show=False)

    def install(self) -> None:
        self.tell.chapter("Sutler comes into the cluster")
        self.way.install()

    def platform_team(self) -> None:
        self.tell.chapter("The platform team says which registry uses which credential. Once.")
        for secret, server in zip(("aliyun-credentials", "example-credentials"), self.servers(), strict=True):
            self.tell.run(
                f"kubectl -n sutler-system create secret docker-registry {secret} --docker-server={server}"
                " --docker-username=UserName --docker-password=Password"
            )
        self.tell.run(f"kubectl apply -f {self.lab.example('mappings.yaml')}")
        wait_for(self._mappings_ready, "both mappings to be Ready")
        self.tell.run("kubectl get registrymappings")

    def servers(self) -> tuple[str, str]:
        aliyun, example = self.lab.hosts
        return f"{aliyun}/xxxx", example

    def application_team(self) -> None:
        self.tell.chapter("The application team creates the same Pod again")
        self.tell.run(f"kubectl create -f {self.lab.example('pod.yaml')}")
        self._expect_pull_secrets("rbd-rest-api", ["aliyun-hangzhou"])
        self.tell.run("kubectl get secret aliyun-hangzhou --show-labels")
        if self.lab.node:
            self._expect_running("rbd-rest-api")
        else:
            self.tell.run(self._skopeo(self.lab.auth_file("default", "aliyun-hangzhou")))
            self.tell.say("✓ The registry gives the image to who sends what the Pod's pull secret holds.")
        self.tell.run(f"kubectl create deployment unmapped --image={self.lab.hosts[0]}/yyyy/app:latest")
        name = wait_for(lambda: self._pod_of("unmapped"), "the Deployment's Pod")
        self._expect_pull_secrets(name, [])

    def two_registries(self) -> None:
        self.tell.chapter("A Pod with two private registries, in a namespace made just now")
        self.tell.run("kubectl create namespace team-a")
        self.tell.run(f"kubectl -n team-a create -f {self.lab.example('pod-two-registries.yaml')}")
        self._expect_pull_secrets("two-registries", ["aliyun-hangzhou", "example"], namespace="team-a")
        if self.lab.node:
            self._expect_running("two-registries", namespace="team-a")
        self.tell.run("kubectl get secret -n team-a -l app.kubernetes.io/managed-by=sutler")

    def image_volume(self) -> None:
        self.tell.chapter("A Pod whose only private image is a volume")
        if lacking := self.lab.why_no_image_volume:
            self.tell.say(f"Left out: {lacking}.")
            return
        example = self.lab.example("pod-image-volume.yaml")
        self.tell.run(f"cat {example}")
        self.tell.say("First without Sutler, which leaves a Pod with this annotation as it is:")
        self.tell.run(f"kubectl annotate --local -f {example} sutler.dev/inject=false -o yaml | kubectl create -f -")
        reason = wait_for(lambda: self._pull_failure("image-volume"), "the Pod to fail its pull", timeout=60)
        self.tell.run("kubectl get pod image-volume")
        self.tell.run("kubectl get events --field-selector involvedObject.name=image-volume")
        self.tell.expect("the volume's image can't be pulled without a secret", reason in PULL_FAILED, wanted=True)
        self.tell.run("kubectl delete pod image-volume --now")
        self.tell.say("Then as it is:")
        self.tell.run(f"kubectl create -f {example}")
        self._expect_pull_secrets("image-volume", ["aliyun-hangzhou"])
        self._expect_running("image-volume")
        said = self.tell.run("kubectl exec image-volume -- cat /data/www/index.html")
        self.tell.expect("its container reads what is in the private image", said, "it works\n")

    def volumes(self) -> None:
        self.tell.chapter("A claim, and not a word about images")
        self.tell.run(f"kubectl apply -f {self.lab.example('storageclass.yaml')}")
        self.tell.run("rbd ls rbd")
        self.tell.run(f"kubectl create -f {self.lab.example('claim.yaml')}")
        wait_for(lambda: self._claim_phase() == "Bound", "the claim to be Bound")
        self.tell.run("kubectl get pvc data")
        volume = self._json("get pvc data")["spec"]["volumeName"]
        image = self._json(f"get pv {volume}")["spec"]["csi"]["volumeHandle"]
        self.tell.run(f"rbd info rbd/{image}")
        size = json.loads(self.tell.run(f"rbd info rbd/{image} --format json", show=False))["size"]
        self.tell.expect("the image has exactly 1.5Gi = 1,610,612,736 bytes", size, 1_610_612_736)
        self.tell.run("kubectl get events --field-selector involvedObject.name=data")
        self.tell.run("kubectl delete pvc data")
        wait_for(lambda: self.tell.run("rbd ls rbd", show=False).strip() == "", "the image to go")
        wait_for(lambda: not self._json("get pv")["items"], "the volume to go")
        self.tell.run("rbd ls rbd")
        self.tell.expect("deleting the claim took the image along", self.tell.run("rbd ls rbd", show=False), "")

    def console(self) -> None:
        self.tell.chapter("A console works with pools and images over HTTPS")
        self.way.open_api()
        self.tell.run(f"{_CURL} $SUTLER_API_URL/api/v1/status")
        self.tell.run("sutler pools list")
        self.tell.run("sutler images create rbd/go-ceph-image 1Mi --order 20")
        self.tell.run("sutler images list rbd")
        self.tell.say("In 2016 an image of 1<<10 bytes with order 10 failed with “rbd: ret=-33”, and nothing said why.")
        said = self.tell.run("sutler images create rbd/puzzle 1024 --order 10", fails=True)
        self.tell.expect("now something does", "12 to 25" in said, wanted=True)
        self.tell.run("sutler images delete rbd/go-ceph-image")
        self.tell.expect("nothing is left of it", self.tell.run("rbd ls rbd", show=False), "")

    def _expect_pull_secrets(self, pod: str, wanted: list[str], namespace: str = "default") -> None:
        self.tell.run(f"kubectl get pod {pod} -n {namespace} -o jsonpath={{.spec.imagePullSecrets}}")
        secrets = self._json(f"get pod {pod} -n {namespace}")["spec"].get("imagePullSecrets", [])
        names = [secret["name"] for secret in secrets]
        self.tell.expect(f"Pod {pod} has the pull secrets that it needs: {', '.join(wanted) or 'none'}", names, wanted)

    def _expect_running(self, pod: str, namespace: str = "default") -> None:
        wait_for(lambda: self._phase(pod, namespace) == "Running", f"Pod {pod} to be Running", timeout=90)
        self.tell.run(f"kubectl get pod {pod} -n {namespace}")

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
        return json.loads(self.tell.run(f"kubectl {what} -o json", show=False))

    def _skopeo(self, auth_file: Path | None) -> str:
        auth = f"--authfile {auth_file}" if auth_file else "--no-creds"
        return f"skopeo inspect --tls-verify=false {auth} docker://localhost:{self.lab.registry.port}/xxxx/rbd-rest-api:latest"
