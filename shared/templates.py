"""Compiled templates of Jinja that the environments of a process share."""

from types import CodeType

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class CompiledOnce(BytecodeCache):
    """Keeps what a template was compiled to, for environments that differ in texts and formats alone: to compile costs far more than
    to render. Environments that escape differently need one each."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CodeType] = {}  # name and file, content

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None, "it was compiled"
        self._compiled[bucket.key, bucket.checksum] = bucket.code
