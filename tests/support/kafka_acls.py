"""Apply access-control lists as Kafka's own tool does. The tool takes seconds for each, and aiokafka has no call for it."""

from collections.abc import Iterable
from typing import Any, ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from shared.kafka_acls import Acl

# Kafka's numbers (AclOperation, ResourceType, PatternType).
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
RESOURCES = {"topic": 2, "group": 3}
LITERAL, PREFIXED = 3, 4
ALLOW = 3


class _Created(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(("throttle_time_ms", Int32), ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))))


class _CreateStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _Created
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission_type", Int8),
            ),
        )
    )


class _Create(Request[_CreateStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY: ClassVar[int] = 30

    def __init__(self, acls: Iterable[Acl]) -> None:
        self._rows = [
            (RESOURCES[acl.resource], name, PREFIXED if acl.prefixed else LITERAL, acl.principal, "*", OPERATIONS[operation], ALLOW)
            for acl in acls
            for name in acl.names
            for operation in acl.operations
        ]

    def build(self, request_struct_class: type[_CreateStruct]) -> _CreateStruct:
        return request_struct_class(self._rows)


async def apply(options: dict[str, Any], acls: Iterable[Acl]) -> None:
    """Apply the lists as a superuser."""
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        created = await admin._send_to_controller(_Create(acls))
        assert {code for code, _ in created.results} == {0}, created
    finally:
        await admin.close()
