"""The only place that creates ids: uuid7 for new things, uuid5 for imported ones, so that a repeated import repeats its ids."""

import hashlib
import uuid
from collections.abc import Mapping

import orjson
import uuid_utils

NAMESPACE = uuid.UUID("b3b6c7d2-5a0e-5f0e-9d8c-6f1f5ad1c0de")


def new_id() -> str:
    """Return a uuid7: unique, and sorted by its time."""
    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """Return a uuid5 of the parts: equal parts have equal ids. The length of each part is hashed too, so no separator can be forged."""
    return str(uuid.uuid5(NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def person_id(tenant: str, source: str, external_id: str) -> str:
    return derived_id("person", tenant, source, external_id)


def import_id(tenant: str, source: str, external_id: str, type_: str, effective: str, content: Mapping[str, object]) -> str:
    """Return the id of an imported fact: a corrected row (other content) gets another id, a repeated row the same."""
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return derived_id("import", tenant, source, external_id, type_, effective, digest)
