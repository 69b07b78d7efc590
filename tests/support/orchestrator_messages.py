"""The messages of the reference orchestrator's .proto as classes, made of the descriptor that the suite reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from google.protobuf import message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from fixtures.profile import descriptors
from fixtures.profile.contract import Contract
from fixtures.profile.model import load
from fixtures.services.grpc_contract import GrpcContract

CONTRACT: Contract = load("embedded").contract
assert CONTRACT.grpc is not None
GRPC = GrpcContract(CONTRACT.grpc)
_FILE = descriptors.service(CONTRACT.grpc.descriptor, CONTRACT.grpc.service).descriptor.file

#: As a generated module would have them: classes by name, enums, and their values.
pb: Any = SimpleNamespace(
    **{name: message_factory.GetMessageClass(kind) for name, kind in _FILE.message_types_by_name.items()},
    **{name: EnumTypeWrapper(kind) for name, kind in _FILE.enum_types_by_name.items()},
    **{value.name: value.number for kind in _FILE.enum_types_by_name.values() for value in kind.values},
)
