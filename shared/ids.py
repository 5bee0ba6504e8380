"""The only place that makes ids: uuid7 for what happens here, uuid5 for what is imported, so that a repeated import repeats its ids."""

import hashlib
import uuid
from collections.abc import Mapping

import orjson
import uuid_utils

NAMESPACE = uuid.UUID("b3b6c7d2-5a0e-5f0e-9d8c-6f1f5ad1c0de")


def new_id() -> str:
    """A uuid7: unique, and sorted by time of making."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """A uuid5 of the parts: the same parts, the same id. Each part's length is hashed too, so no separator can be forged."""
    return str(uuid.uuid5(NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def person_id(tenant: str, source: str, external_id: str) -> str:
    return derived_id("person", tenant, source, external_id)


def import_id(tenant: str, source: str, external_id: str, type_: str, effective: str, content: Mapping[str, object]) -> str:
    """The id of an imported fact: a corrected row (another content) gets another id, a repeated one the same."""
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return derived_id("import", tenant, source, external_id, type_, effective, digest)
