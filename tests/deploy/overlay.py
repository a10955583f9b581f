"""What kustomize makes of an overlay, by kind and name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.deploy.kustomize import built

Json = dict[str, Any]


class Overlay:
    """The objects of an overlay, by kind and name."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.objects = built(folder)
        self._by_kind: dict[str, dict[str, Json]] = defaultdict(dict)
        for item in self.objects:
            self._by_kind[item["kind"]][item["metadata"]["name"]] = item

    def all(self, kind: str) -> dict[str, Json]:
        return self._by_kind[kind]

    def workloads(self) -> list[Json]:
        return [*self.all("Deployment").values(), *self.all("Job").values()]

    def environment(self, service: str) -> dict[str, Json]:
        """Its variables, each with how it gets its value; those of the ConfigMap are literal."""
        (container,) = pod_of(self.all("Deployment")[service])["containers"]
        (source,) = container["envFrom"]
        shared = self.all("ConfigMap")[source["configMapRef"]["name"]]["data"]
        common = {name: {"name": name, "value": value} for name, value in shared.items()}
        return common | {item["name"]: item for item in container["env"]}

    def policies_of(self, service: str) -> Iterator[Json]:
        """The network policies that hold for a service's pods."""
        labels = self.all("Deployment")[service]["spec"]["template"]["metadata"]["labels"]
        for policy in self.all("NetworkPolicy").values():
            wanted = policy["spec"]["podSelector"].get("matchLabels", {})
            if wanted.items() <= labels.items():
                yield policy["spec"]


def pod_of(workload: Json) -> Json:
    spec: Json = workload["spec"]["template"]["spec"]
    return spec
