"""Types of objects that these tests make, and that the suite itself never asks for."""

from fixtures.clusters.kubernetes.client.api import CORE, RBAC, Resource
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject

SECRETS = Resource(CORE, "secrets", KubernetesObject)
PERSISTENT_VOLUME_CLAIMS = Resource(CORE, "persistentvolumeclaims", KubernetesObject)
CRON_JOBS = Resource("apis/batch/v1", "cronjobs", KubernetesObject)
ROLES = Resource(RBAC, "roles", KubernetesObject)
ROLE_BINDINGS = Resource(RBAC, "rolebindings", KubernetesObject)
