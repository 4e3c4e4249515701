"""Look up known vulnerabilities of all pinned packages: `python scripts/audit.py [requirements.lock] [FOLDER…]`.

Exits with status 1 on a finding. A missing advisory service or network is reported but is not a failure: a build must work
offline."""

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pip_audit  # noqa: F401 - run below; a missing package must not look like an unreachable service

ROOT = Path(__file__).parent.parent
LOCK = "requirements.lock"
# Folders without a lock file are audited with the versions that npm would install now.
FOLDERS = (
    "client",
    "client/test/react18",
    "tests/wire/node",
    "tests/wire/socketio_node",
    "tests/wire/openapi_node",
    "benchmarks/peers",
)
TIMEOUT = 120  # seconds for one tool; a reachable service takes about 30 for all packages
PIP_AUDIT = ("--requirement", LOCK, "--require-hashes", "--disable-pip", "--format=json", "--progress-spinner=off")

Json = dict[str, Any]


class Unavailable(Exception):
    """The advisory service did not respond."""


def main(names: list[str]) -> int:
    """Audit these, or everything. Return 1 on a finding."""
    with ThreadPoolExecutor() as pool:  # they wait for the network
        return max(pool.map(audit, names or [LOCK, *FOLDERS]))


def audit(name: str) -> int:
    """Audit a lock file or folder and print the report. Return 1 on a finding."""
    try:
        findings = python() if name == LOCK else node(name)
    except Unavailable as reason:
        print(f"{name}: NOT CHECKED, the advisory service cannot be reached: {reason}", file=sys.stderr)
        return 0
    print("\n  ".join([f"{name}: {len(findings) or 'no'} known vulnerabilities", *findings]))
    return 1 if findings else 0


def python() -> list[str]:
    """Return the findings of pip-audit for the pinned Python packages."""
    ran = run([sys.executable, "-m", "pip_audit", *PIP_AUDIT])
    try:
        packages: list[Json] = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        raise Unavailable(last_line(ran.stderr)) from None
    unchecked = [one["name"] for one in packages if "skip_reason" in one]
    if len(unchecked) == len(packages):
        raise Unavailable("the package index publishes no advisories")
    if unchecked:
        print(f"requirements.lock: NOT CHECKED: {', '.join(unchecked)}", file=sys.stderr)
    return [
        f"{one['name']} {one['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no release'}"
        for one in packages
        for found in one.get("vulns", ())
    ]


def node(folder: str) -> list[str]:
    """Return the findings of `npm audit` for a folder's lock file, or for the versions that npm would install now."""
    where = ROOT / folder
    if (where / "package-lock.json").exists():
        return npm_audit(where)
    with tempfile.TemporaryDirectory() as made:
        Path(made, "package.json").write_bytes((where / "package.json").read_bytes())
        ran = run(["npm", "install", "--package-lock-only", "--no-audit", "--no-fund", "--silent"], cwd=Path(made))
        if ran.returncode:
            raise Unavailable(last_line(ran.stderr) or "npm resolved nothing")
        return npm_audit(Path(made))


def npm_audit(folder: Path) -> list[str]:
    """Return the findings for a lock file."""
    ran = run(["npm", "audit", "--json", "--package-lock-only"], cwd=folder)
    try:
        report: Json = json.loads(ran.stdout)
    except ValueError:
        raise Unavailable(last_line(ran.stderr)) from None
    if "vulnerabilities" not in report:
        raise Unavailable(report.get("message") or str(report.get("error")))
    return [f"{name}: {one['severity']}, {causes(one['via'])}" for name, one in report["vulnerabilities"].items()]


def causes(via: list[Json | str]) -> str:
    """Return the advisories of a package, or the vulnerable packages it depends on."""
    return ", ".join(one if isinstance(one, str) else f"{one['title']} ({one['url']})" for one in via)


def run(command: list[str], cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"no response within {TIMEOUT} s") from None


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
