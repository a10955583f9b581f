"""The manifests as kustomize builds them: valid, hardened, and allowed no more than is needed."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from pathlib import Path

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from contracts.telemetry import METRICS
from contracts.topics import TOPICS
from gateway.domain.addresses import client_address
from tests.deploy.overlay import Json, Overlay, pod_of
from tests.deploy.settings_of import (
    REPOSITORY,
    SERVICES,
    common_variables,
    known_variables,
    required_variables,
)

K8S = REPOSITORY / "k8s"
VERSION = "1.37.0"
NAME, PART = "app.kubernetes.io/name", "app.kubernetes.io/part-of"
CRDS = {
    "ScaledObject": "scaled-object",
    "ServiceMonitor": "service-monitor",
    "PrometheusRule": "prometheus-rule",
}
# By the setting that names it.
STORES = {
    "POSTGRES_DSN": "postgres",
    "REDIS_URL": "redis",
    "MONGO_URL": "mongo",
    "MILVUS_URI": "milvus",
    "GRAPH_URL": "neo4j",
}
PORTS = {
    "kafka": 9092,
    "postgres": 5432,
    "redis": 6379,
    "mongo": 27017,
    "milvus": 19530,
    "neo4j": 7687,
}
REACH_THE_INTERNET = {"llm-executor"}
each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(params=sorted(path.name for path in (K8S / "overlays").iterdir()))
def overlay(request: pytest.FixtureRequest) -> Overlay:
    return Overlay(K8S / "overlays" / request.param)


def test_objects_are_what_kubernetes_takes(overlay: Overlay) -> None:
    for item in overlay.objects:
        if item["kind"] in CRDS:
            schema = Path(__file__).parent / "crds" / f"{CRDS[item['kind']]}.json"
            jsonschema.validate(item, json.loads(schema.read_text()))
        else:
            kubernetes_validate.validate(item, VERSION, strict=True)


def test_all_is_in_one_namespace_that_enforces_the_strictest_standard(overlay: Overlay) -> None:
    (namespace,) = overlay.all("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    names = {item["metadata"].get("namespace") for item in overlay.objects} - {None}
    assert names == {namespace["metadata"]["name"]}
    assert {item["metadata"]["labels"][PART] for item in overlay.objects if _is_ours(item)} == {
        "limelight"
    }


def _is_ours(item: Json) -> bool:
    return item["kind"] not in {"Namespace", "ConfigMap"}


def test_every_service_is_deployed(overlay: Overlay) -> None:
    assert sorted(overlay.all("Deployment")) == SERVICES
    assert sorted(overlay.all("Job")) == ["topics"]


def test_containers_are_hardened(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001  # as the images say
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert [volume for volume in pod.get("volumes", ()) if "hostPath" in volume] == []
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_the_images_have_that_user() -> None:
    assert "\nUSER 10001\n" in (REPOSITORY / "deploy" / "Dockerfile").read_text()


@each_service
def test_health_is_asked_at_the_ops_port(overlay: Overlay, name: str) -> None:
    (container,) = pod_of(overlay.all("Deployment")[name])["containers"]
    paths = {
        kind: container[kind]["httpGet"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": {"path": "/livez", "port": "ops"},
        "livenessProbe": {"path": "/livez", "port": "ops"},
        # Not /readyz: with Kafka away no gateway would be ready, and each of them can serve.
        "readinessProbe": {"path": "/servez", "port": "ops"},
    }
    assert {"name": "ops", "containerPort": 9090} in container["ports"]
    # The checks themselves end after two seconds.
    assert container["readinessProbe"]["timeoutSeconds"] > 2


@each_service
def test_a_pod_has_time_to_drain(overlay: Overlay, name: str) -> None:
    pod = pod_of(overlay.all("Deployment")[name])
    (container,) = pod["containers"]
    waits = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drains = float(overlay.environment(name)["LIMELIGHT_SHUTDOWN_SECONDS"]["value"])
    assert pod["terminationGracePeriodSeconds"] > waits + drains


@each_service
def test_pods_are_spread_and_not_all_taken_away_at_once(overlay: Overlay, name: str) -> None:
    deployment = overlay.all("Deployment")[name]
    spread = pod_of(deployment)["topologySpreadConstraints"]
    assert {item["topologyKey"] for item in spread} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for item in spread:
        assert item["labelSelector"]["matchLabels"].items() <= labels.items()
        assert item["matchLabelKeys"] == [NAME]
    budget = overlay.all("PodDisruptionBudget")[name]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == {NAME: name}


def test_accounts_have_no_token(overlay: Overlay) -> None:
    accounts = overlay.all("ServiceAccount")
    assert {account["automountServiceAccountToken"] for account in accounts.values()} == {False}
    used = {pod_of(workload)["serviceAccountName"] for workload in overlay.workloads()}
    assert used == accounts.keys()
    assert not {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"} & {
        item["kind"] for item in overlay.objects
    }


def test_images_are_ours_and_have_a_version(overlay: Overlay) -> None:
    for name, deployment in overlay.all("Deployment").items():
        (container,) = pod_of(deployment)["containers"]
        image, _, tag = container["image"].rpartition(":")
        assert image.endswith(f"limelight/{name}")
        assert tag == ("latest" if overlay.name == "dev" else "0.1.0")
        assert (REPOSITORY / "services" / name).is_dir()


def test_images_that_were_loaded_are_used(overlay: Overlay) -> None:
    """A tag ``latest`` is pulled each time unless it is said otherwise."""
    for workload in overlay.workloads():
        (container,) = pod_of(workload)["containers"]
        if container["image"].endswith(":latest"):
            assert container["imagePullPolicy"] == "IfNotPresent"


def test_argo_has_what_the_topics_job_needs_and_makes_topics_first(overlay: Overlay) -> None:
    """Before the sync there is no ServiceAccount and no ConfigMap for it, and it would hang."""
    job = overlay.all("Job")["topics"]
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"
    waves = {(item["kind"], item["metadata"]["name"]): _wave(item) for item in overlay.objects}
    assert waves["Job", "topics"] == waves["ServiceAccount", "topics"] == 0
    assert {waves["ConfigMap", name] for name in overlay.all("ConfigMap")} == {0}
    assert {waves["NetworkPolicy", name] for name in overlay.all("NetworkPolicy")} == {0}
    later = {kind for (kind, _), wave in waves.items() if wave > 0}
    assert later == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "ScaledObject",
        "PodDisruptionBudget",
        "Ingress",
    }
    assert all(waves[kind, name] == 1 for kind in later for name in overlay.all(kind))


def _wave(item: Json) -> int:
    return int(item["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", 0))


# Scaling


@each_service
def test_no_more_pods_than_partitions(overlay: Overlay, name: str) -> None:
    partitions = max(topic.partitions for topic in TOPICS if name in topic.consumers)
    if name == "gateway":
        spec = overlay.all("HorizontalPodAutoscaler")[name]["spec"]
        assert spec["minReplicas"] <= spec["maxReplicas"] <= partitions
        assert spec["metrics"][0]["resource"]["name"] == "cpu"
    else:
        spec = overlay.all("ScaledObject")[name]["spec"]
        assert spec["maxReplicaCount"] == partitions
        assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= partitions
    assert "replicas" not in overlay.all("Deployment")[name]["spec"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "gateway"])
def test_lag_is_measured_on_every_topic(overlay: Overlay, name: str) -> None:
    scaled = overlay.all("ScaledObject")[name]
    assert scaled["spec"]["scaleTargetRef"] == {"name": name}
    told = scaled["metadata"]["annotations"]
    threshold = int(told["limelight/rate-per-pod"]) * int(told["limelight/tolerated-seconds"])
    triggers = [item for item in scaled["spec"]["triggers"] if item["type"] == "kafka"]
    consumed = [topic.name for topic in TOPICS if name in topic.consumers]
    assert sorted(item["metadata"]["topic"] for item in triggers) == sorted(consumed)
    log = overlay.environment(name)["LIMELIGHT_LOG_URL"]["value"]
    for item in triggers:
        assert item["metadata"]["consumerGroup"] == name
        assert item["metadata"]["lagThreshold"] == str(threshold)
        assert item["metadata"]["excludePersistentLag"] == "true"
        assert item["metadata"]["offsetResetPolicy"] == "earliest"  # as the bus reads
        assert log == f"kafka://{item['metadata']['bootstrapServers']}"


def test_metrics_that_scale_are_declared(overlay: Overlay) -> None:
    text = json.dumps(list(overlay.all("ScaledObject").values()))
    names = set(re.findall(r"limelight_\w+", text))
    assert names
    assert names <= {metric.name for metric in METRICS}


def test_the_queue_that_scales_is_of_this_namespace(overlay: Overlay) -> None:
    (namespace,) = overlay.all("Namespace")
    triggers = overlay.all("ScaledObject")["llm-executor"]["spec"]["triggers"]
    (query,) = [item["metadata"]["query"] for item in triggers if item["type"] == "prometheus"]
    assert query == f'max(limelight_queued_calls{{namespace="{namespace}"}})'


def test_no_overlay_joins_the_groups_of_another() -> None:
    overlays = [Overlay(folder) for folder in (K8S / "overlays").iterdir()]
    logs = {item.environment("gateway")["LIMELIGHT_LOG_URL"]["value"] for item in overlays}
    assert len(logs) == len(overlays) > 1


def test_limits_of_providers_are_shared_out(overlay: Overlay) -> None:
    share = float(overlay.environment("llm-executor")["LIMELIGHT_LIMITS_SHARE"]["value"])
    most = overlay.all("ScaledObject")["llm-executor"]["spec"]["maxReplicaCount"]
    assert 0.9 <= share * most <= 1


# Network


def test_nothing_is_allowed_that_is_not_said(overlay: Overlay) -> None:
    deny = overlay.all("NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_the_gateway_has_an_ingress(overlay: Overlay) -> None:
    (ingress,) = overlay.all("Ingress").values()
    backends = [
        path["backend"]["service"]["name"]
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    assert backends == ["gateway"]
    assert {item["spec"].get("type", "ClusterIP") for item in overlay.all("Service").values()} == {
        "ClusterIP"
    }


@each_service
def test_who_may_reach_a_service(overlay: Overlay, name: str) -> None:
    """Monitoring the ops port of all; the ingress controller the gateway; nobody anything else."""
    allowed = {
        (source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for policy in overlay.policies_of(name)
        for rule in policy.get("ingress", ())
        for source in rule["from"]
        for port in rule["ports"]
    }
    public = {("ingress-nginx", "http")} if name == "gateway" else set()
    assert allowed == {("monitoring", "ops")} | public


def test_the_gateway_believes_the_ingress_about_clients(overlay: Overlay) -> None:
    """Or all would share the limit of its address. Nothing public is believed by default."""
    value = overlay.environment("gateway")["LIMELIGHT_TRUSTED_PROXIES"]["value"]
    trusted = tuple(ip_network(part) for part in value.split(","))
    for pod in ("10.244.1.7", "100.64.3.4", "172.17.0.3", "192.168.122.9", "fd00:10:244::7"):
        assert client_address(pod, ["203.0.113.9"], trusted) == "203.0.113.9"
    for public in ("198.51.100.7", "2001:db8::7"):
        assert client_address(public, ["203.0.113.9"], trusted) == public


@each_service
def test_where_a_service_may_go(overlay: Overlay, name: str) -> None:
    """To names, traces, the log and the stores that its settings name, each at its port."""
    reached, internet = set(), False
    for policy in overlay.policies_of(name):
        for rule in policy.get("egress", ()):
            ports = {port["port"] for port in rule["ports"]}
            for target in rule["to"]:
                if "ipBlock" in target:
                    internet = True
                    assert ports == {443}
                else:
                    reached.add((_label(target), *sorted(ports)))
    variables = overlay.environment(name)
    stores = {"kafka"} | {
        store for setting, store in STORES.items() if f"LIMELIGHT_{setting}" in variables
    }
    expected = {(store, PORTS[store]) for store in stores}
    assert reached == expected | {("kube-dns", 53), ("otel-collector", 4318)}
    assert internet == (name in REACH_THE_INTERNET)


def _label(target: Json) -> str:
    (label,) = target["podSelector"]["matchLabels"].values()
    return str(label)


def test_the_internet_is_nothing_private(overlay: Overlay) -> None:
    blocks = {
        target["ipBlock"]["cidr"]: set(target["ipBlock"]["except"])
        for name in REACH_THE_INTERNET
        for policy in overlay.policies_of(name)
        for rule in policy.get("egress", ())
        for target in rule["to"]
        if "ipBlock" in target
    }
    assert blocks.keys() == {"0.0.0.0/0", "::/0"}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= blocks[
        "0.0.0.0/0"
    ]
    assert {"fc00::/7", "fe80::/10"} <= blocks["::/0"]


def test_the_topics_job_reaches_the_log_only(overlay: Overlay) -> None:
    spec = overlay.all("NetworkPolicy")["topics"]["spec"]
    assert spec["podSelector"]["matchLabels"] == {NAME: "topics"}
    (rule,) = spec["egress"]
    assert [_label(target) for target in rule["to"]] == ["kafka"]
    (container,) = pod_of(overlay.all("Job")["topics"])["containers"]
    assert container["command"] == ["python", "-m", "bus"]


# Settings and secrets


@each_service
def test_every_variable_is_a_setting(overlay: Overlay, name: str) -> None:
    variables = overlay.environment(name).keys()
    assert variables - known_variables(name) == set()
    assert required_variables(name) - variables == set()


def test_the_shared_settings_are_of_all(overlay: Overlay) -> None:
    (shared,) = overlay.all("ConfigMap").values()
    assert shared["data"].keys() <= common_variables()


def test_no_secret_is_written_down(overlay: Overlay) -> None:
    assert overlay.all("Secret") == {}
    secret = re.compile(r"KEY|PASSWORD|SECRET|TOKEN|DSN|REDIS_URL|MONGO_URL|MILVUS_URI|GRAPH_")
    for name in SERVICES:
        for variable, item in overlay.environment(name).items():
            if secret.search(variable):
                assert "secretKeyRef" in item["valueFrom"], variable
    for item in overlay.objects:
        assert not re.search(r"://[^/\s:@\"]*:[^@/\s\"]+@", json.dumps(item))


def test_only_the_executor_has_keys_of_providers(overlay: Overlay) -> None:
    holders = {
        name
        for name in SERVICES
        for item in overlay.environment(name).values()
        if item.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "model-providers"
    }
    assert holders == {"llm-executor"}


def test_secrets_are_documented(overlay: Overlay) -> None:
    text = (K8S / "README.md").read_text()
    for name in SERVICES:
        for item in overlay.environment(name).values():
            if reference := item.get("valueFrom", {}).get("secretKeyRef"):
                assert f"| `{reference['name']}` | `{reference['key']}` |" in text


# Watching


def test_every_service_is_scraped_under_its_own_name(overlay: Overlay) -> None:
    (monitor,) = overlay.all("ServiceMonitor").values()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["honorLabels"]) == ("ops", True)
    wanted = monitor["spec"]["selector"]["matchLabels"]
    services = overlay.all("Service")
    assert sorted(services) == SERVICES
    for name, service in services.items():
        assert wanted.items() <= service["metadata"]["labels"].items()
        assert service["spec"]["selector"] == {NAME: name}
        assert "ops" in {port["name"] for port in service["spec"]["ports"]}
