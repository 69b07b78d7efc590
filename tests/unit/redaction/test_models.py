"""A document that is not as it has to be is never quoted: pydantic cuts values in the middle, which parts secrets from
the names that give them away."""

import pkgutil
from importlib import import_module

import pytest
from pydantic import BaseModel

import fixtures
from fixtures.core.json_models import InvalidDocument, JsonModel

#: They run in the images when they are imported, and have no models.
PROGRAMS = (
    "fixtures.clusters.embedded.start_node",
    "fixtures.clusters.embedded.client_proxy",
    "fixtures.probes.payload.",
)
SECRET = "Pod-Passw0rd-2f6e"


def models(of: type[BaseModel] = BaseModel) -> list[type[BaseModel]]:
    """Every pydantic model of the suite."""
    for module in pkgutil.walk_packages(fixtures.__path__, "fixtures."):
        if not module.name.startswith(PROGRAMS) and not module.name.endswith("__main__"):
            import_module(module.name)
    below = [model for child in of.__subclasses__() for model in [child, *models(child)]]
    return [model for model in below if model.__module__.startswith("fixtures.")]


def test_no_model_quotes_what_it_refuses() -> None:
    every = models()
    assert len(every) > 50, every
    assert not [model for model in every if not model.model_config.get("hide_input_in_errors")]


def test_a_refusal_names_no_value() -> None:
    with pytest.raises(InvalidDocument) as refused:
        JsonModel.of(["x" * 90, f'{{"name": "DB_PASSWORD", "value": "{SECRET}"}}'])
    assert SECRET not in f"{refused.value} {refused.value.__cause__}"
