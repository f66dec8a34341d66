"""Checks deploy/kubernetes, for scripts/check-manifests.

Every document against Kubernetes's schemas of two versions, with no unknown field; every name that one document has for another, a
setting, a port or a variable; and last that planted faults are found.
"""

import copy
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

VERSIONS = ["1.30", "1.37"]  # the oldest that README.md names, and the newest that the validator knows
ROOT = Path("deploy/kubernetes")
# Kinds that are not Kubernetes's own: nobody here has their schemas.
FOREIGN = {("monitoring.coreos.com/v1", "PodMonitor")}
# Made by kustomize, or by people.
MADE_ELSEWHERE = {("ConfigMap", "tertulia-front"), ("Secret", "tertulia"), ("Secret", "tertulia-tls")}


class NoDoubles(yaml.SafeLoader):
    """A key given twice is an error, not the last one."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        doubles = {key for key in keys if keys.count(key) > 1}
        if doubles:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {doubles}", node.start_mark)
        return super().construct_mapping(node, deep)


def read(text, name):
    return [(name, document) for document in yaml.load_all(text, NoDoubles) if document]


def against_schemas(documents):
    for name, document in documents:
        if (document.get("apiVersion"), document.get("kind")) in FOREIGN:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(map(str, error.path))
                yield f"{name}: {title(document)}, Kubernetes {version}: {path}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{name}: {error.message}"


def title(document):
    return f"{document.get('kind')} {document.get('metadata', {}).get('name')}"


def pod_of(document):
    return document["spec"]["template"] if document["kind"] in ("Deployment", "StatefulSet") else None


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def against_each_other(documents):
    """What the schemas cannot know."""
    config = Path("crates/tertulia/src/config.rs").read_text()
    haproxy = Path("haproxy/haproxy.cfg").read_text()
    known = set(re.findall(r'env = "(\w+)"', config)) | set(re.findall(r"\$\{(PROXY_\w+)", haproxy))
    objects = {(document["kind"], document["metadata"]["name"]): document for _, document in documents}
    there = set(objects) | MADE_ELSEWHERE
    pods = [pod_of(document) for document in objects.values() if pod_of(document)]

    if len(objects) != len(documents):
        yield "two documents have one kind and name"
    for (kind, name), document in objects.items():
        where = f"{kind} {name}"
        spec = document.get("spec", {})
        for variable in document.get("data", {}) if kind == "ConfigMap" else []:
            if variable not in known:
                yield f"{where}: neither the program nor HAProxy knows {variable}"
        if kind == "Service":
            chosen = [pod for pod in pods if matches(spec["selector"], pod["metadata"]["labels"])]
            ports = {port["name"] for pod in chosen for container in pod["spec"]["containers"] for port in container["ports"]}
            if not {port["targetPort"] for port in spec["ports"]} <= ports:
                yield f"{where}: it leads to no pod's port"
        if kind in ("PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("selector") or spec["podSelector"]
            if not any(matches(selector["matchLabels"], pod["metadata"]["labels"]) for pod in pods):
                yield f"{where}: it is for no pod"
        if kind == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]
            if (target["kind"], target["name"]) not in there:
                yield f"{where}: it scales nothing"
        if kind == "StatefulSet" and ("Service", spec["serviceName"]) not in there:
            yield f"{where}: there is no Service {spec['serviceName']}"
        pod = pod_of(document)
        if not pod:
            continue
        if not matches(spec["selector"]["matchLabels"], pod["metadata"]["labels"]):
            yield f"{where}: its selector is not for its own pods"
        if pod["spec"].get("securityContext", {}).get("runAsNonRoot") is not True:
            yield f"{where}: it may run as root"
        for volume in pod["spec"].get("volumes", []):
            for kind_of, field in (("ConfigMap", "name"), ("Secret", "secretName")):
                reference = volume.get(kind_of[0].lower() + kind_of[1:])
                if reference and (kind_of, reference[field]) not in there:
                    yield f"{where}: there is no {kind_of} {reference[field]}"
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        for container in pod["spec"]["containers"]:
            yield from about_container(where, pod["spec"], container, volumes, there, objects)


def about_container(where, pod, container, volumes, there, objects):
    rights = container.get("securityContext", {})
    if rights.get("readOnlyRootFilesystem") is not True or rights.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{where}: it has more rights than it needs"
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"{where}: there is no volume {mount['name']}"
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        check = container.get(probe, {})
        port = (check.get("httpGet") or check.get("tcpSocket") or {}).get("port")
        if port and port not in ports:
            yield f"{where}: its {probe} asks at no port"
    settings = {}
    for source in container.get("envFrom", []):
        name = source["configMapRef"]["name"]
        if ("ConfigMap", name) not in there:
            yield f"{where}: there is no ConfigMap {name}"
        settings |= objects.get(("ConfigMap", name), {}).get("data", {})
    for variable in container.get("env", []):
        secret = variable.get("valueFrom", {}).get("secretKeyRef")
        if secret and ("Secret", secret["name"]) not in there:
            yield f"{where}: there is no Secret {secret['name']}"
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = int(settings.get("TERTULIA_DRAIN_SECONDS", 0))
    if pod["terminationGracePeriodSeconds"] < pause + drain + (5 if drain else 0):
        yield f"{where}: it is killed before it has left"


def kustomizations():
    """What each names is there, and nothing beside it is forgotten."""
    for file in [*ROOT.rglob("kustomization.yaml"), Path("haproxy/kustomization.yaml")]:
        kustomization = yaml.load(file.read_text(), NoDoubles)
        resources = kustomization.get("resources", [])
        for name in resources + [f for made in kustomization.get("configMapGenerator", []) for f in made["files"]]:
            if not (file.parent / name).exists():
                yield f"{file}: there is no {name}"
        for beside in file.parent.glob("*.yaml"):
            if beside != file and beside.name not in resources and ".example." not in beside.name:
                yield f"{file}: it forgets {beside.name}"


def built():
    """What kustomize makes of them, if it is here."""
    if not shutil.which("kubectl"):
        print("no kubectl here: the kustomizations were read, not built")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("deploy/kubernetes", "haproxy"):
            shutil.copytree(name, Path(folder, name))
        databases = Path(folder, ROOT, "with-databases")
        shutil.copy(databases / "secret.env.example", databases / "secret.env")
        for name in ("base", "with-databases"):
            made = subprocess.run(["kubectl", "kustomize", Path(folder, ROOT, name)], capture_output=True, text=True, check=False)
            if made.returncode:
                yield f"kustomize {name}: {made.stderr.strip()}"
                continue
            documents = read(made.stdout, f"kustomize {name}")
            yield from against_schemas(documents)
            print(f"kustomize {name}: {len(documents)} documents")


def planted(documents):
    """A check that finds nothing may be looking at nothing."""

    def spoiled(change):
        spoiled = copy.deepcopy(documents)
        objects = {(document["kind"], document["metadata"]["name"]): document for _, document in spoiled}
        change(objects)
        return [*against_schemas(spoiled), *against_each_other(spoiled)]

    node = ("Deployment", "tertulia-node")

    def container(objects):
        return objects[node]["spec"]["template"]["spec"]["containers"][0]

    faults = {
        "an unknown field": lambda o: container(o).update(readOnly=True),
        "a word for a number": lambda o: o[node]["spec"].update(replicas="three"),
        "a kind that is not": lambda o: o[node].update(kind="Deploymnet"),
        "a wrong setting": lambda o: o["ConfigMap", "tertulia-node-settings"]["data"].update(TERTULIA_LISTE="x"),
        "a wrong secret": lambda o: container(o)["env"][1]["valueFrom"]["secretKeyRef"].update(name="x"),
        "a wrong port": lambda o: container(o)["readinessProbe"]["httpGet"].update(port="htp"),
        "a short goodbye": lambda o: o[node]["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=12),
        "a Service for nobody": lambda o: o["Service", "tertulia-nodes"]["spec"]["selector"].update(x="y"),
    }
    for name, change in faults.items():
        if not spoiled(change):
            yield f"{name} was not found when planted"


def main():
    files = sorted(file for file in ROOT.rglob("*.yaml") if file.name != "kustomization.yaml")
    examples = [file for file in files if ".example." in file.name]
    documents = [document for file in files if file not in examples for document in read(file.read_text(), file)]
    example = [document for file in examples for document in read(file.read_text(), file)]
    found = [
        *against_schemas(documents + example),
        *against_each_other(documents),
        *kustomizations(),
        *built(),
        *planted(documents),
    ]
    print(f"{len(documents + example)} documents in {len(files)} files, Kubernetes {' and '.join(VERSIONS)}: {len(found)} faults")
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
