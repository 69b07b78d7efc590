"""How long the property-based tests look: the same few examples at each run,
or many new ones (docs/explanation/testing.md).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

settings.register_profile(
    "brief",
    PATIENT,
    max_examples=30,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
settings.register_profile("nightly", PATIENT, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("FLEET_HYPOTHESIS", "brief"))
