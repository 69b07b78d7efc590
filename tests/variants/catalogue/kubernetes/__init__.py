"""What differs in Kubernetes alone, by subject: those that change the same part stand together."""

from tests.variants.catalogue.kubernetes import policies, ray, services, workloads
from tests.variants.model import Variant

VARIANTS: tuple[Variant, ...] = (*workloads.VARIANTS, *services.VARIANTS, *policies.VARIANTS, *ray.VARIANTS)
