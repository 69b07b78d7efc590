"""What differs in Kubernetes alone, by subject: those that change the same part stand together."""

from tests.variants.catalogue.kubernetes import layouts, policies, ray, ray_services, services, workloads
from tests.variants.model import Variant

VARIANTS: tuple[Variant, ...] = (
    *workloads.VARIANTS,
    *services.VARIANTS,
    *layouts.VARIANTS,
    *policies.VARIANTS,
    *ray.VARIANTS,
    *ray_services.VARIANTS,
)
