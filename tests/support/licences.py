"""`make licences`: write docs/licences.md, the licences of the packages in the runtime lock. `--check` fails if that page is out of date.

Both fail if a package has a licence that is not on the list below. pip-licenses reads the licences from the installed packages.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK, PAGE = ROOT / "requirements" / "runtime.lock", ROOT / "docs" / "licences.md"

# Spellings as in the packages. These licences ask for their text and the copyright notice to be kept, and for nothing else.
PERMISSIVE = {
    "Apache Software License", "Apache Software License; MIT License", "Apache-2.0", "Apache-2.0 AND BSD-2-Clause", "Apache-2.0 AND MIT",
    "Apache-2.0 OR BSD-2-Clause", "Apache-2.0 OR BSD-3-Clause", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "ISC", "ISC License (ISCL)",
    "MIT", "MIT AND PSF-2.0", "MIT License", "MIT OR Apache-2.0", "MIT-0", "PSF-2.0", "Public Domain", "Python Software Foundation License",
    "Repoze Public License", "The Unlicense (Unlicense)",
}  # fmt: skip
# Licences that ask for more are accepted for these packages only.
ACCEPTED = {
    "certifi": ("Mozilla Public License 2.0 (MPL 2.0)", "Used unchanged. Publish the source of any file of it that you change."),
    "orjson": ("MPL-2.0 AND (Apache-2.0 OR MIT)", "Used unchanged. Publish the source of any file of it that you change."),
    "python-stdnum": (
        "GNU Lesser General Public License v2 or later (LGPLv2+)",
        "Used unchanged, as a package of its own that can be replaced. Publish the source of your changes to it.",
    ),
}
HEAD = """# Licences of the dependencies

These packages are in the runtime lock, `requirements/runtime.lock`, so the services and the container image contain them on Linux.
`make licences` writes this page. `make check` fails if the page is not up to date, or if a package has a
licence that is not on the list in `tests/support/licences.py`.
"""


def locked(lock: str) -> set[str]:
    """Return the names of the packages that the lock installs on this platform."""
    lines = (line.removesuffix("\\").strip() for line in lock.splitlines() if line and line[0].isalnum())
    requirements = (Requirement(line) for line in lines)
    return {canonicalize_name(each.name) for each in requirements if each.marker is None or each.marker.evaluate()}


def installed(names: Iterable[str]) -> list[dict[str, str]]:
    """Return name, version and licence of each of these packages. Raises LookupError for one that is not installed."""
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--from=mixed", "--packages", *sorted(names)]
    found: list[dict[str, str]] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if missing := sorted(set(names) - {canonicalize_name(each["Name"]) for each in found}):
        raise LookupError(f"not installed: {', '.join(missing)}; run `make setup`")
    return sorted(found, key=lambda each: canonicalize_name(each["Name"]))


def refused(packages: Iterable[Mapping[str, str]]) -> list[str]:
    """Return a sentence for each package whose licence is not on the list."""
    return [
        f"{each['Name']} has the licence {each['License']!r}, which is not on the list of tests/support/licences.py. Read the licence. "
        "If it is acceptable, add it; otherwise use another package."
        for each in packages
        if each["License"] not in PERMISSIVE and ACCEPTED.get(canonicalize_name(each["Name"]), ("", ""))[0] != each["License"]
    ]


def page(packages: Iterable[Mapping[str, str]]) -> str:
    rows = [
        f"| {each['Name']} | {each['Version']} | {each['License']} | {ACCEPTED.get(canonicalize_name(each['Name']), ('', ''))[1]} |"
        for each in packages
    ]
    return "\n".join([HEAD, "| package | version | licence | what it asks for |", "|---|---|---|---|", *rows, ""])


def main(arguments: Sequence[str]) -> int:
    packages = installed(locked(LOCK.read_text()))
    if wrong := refused(packages):
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    if "--check" not in arguments:
        PAGE.write_text(page(packages))
        return 0
    if PAGE.read_text() != page(packages):
        sys.stderr.write("docs/licences.md is not up to date: run `make licences`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
