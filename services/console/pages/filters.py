"""The filters of a list, as its address has them. A list has a frozen dataclass of them, with an empty text for each that is not set."""

from dataclasses import asdict, dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Filters:
    def address(self, **other: str) -> str:
        """Return the filters as the query of an address, with other values for some of them."""
        return urlencode({name: value for name, value in (asdict(self) | other).items() if value})

    @property
    def is_filtered(self) -> bool:
        """Tell whether any of them is set. The order of a list filters nothing."""
        return bool(self.address(sort=""))
