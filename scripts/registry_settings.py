"""This machine's pip and npm settings for their registries, as build secrets: build steps can read them, and the image
does not contain them."""

import ast
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

# The path at which the Dockerfile's steps find the secret `certificates`.
CERTIFICATES = "/run/secrets/certificates"
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# The other settings name files of this machine or do not concern the network.
PIP_SETTINGS = re.compile(r"(extra-)?index-url|find-links|trusted-host|proxy|(default-)?timeout|retries")
NPM_SETTINGS = re.compile(
    r"(.+:)?registry|//.+|replace-registry-host|(https-)?proxy|noproxy|strict-ssl|fetch-.+|_auth.*"
)


def build_options(folder: Path) -> list[str]:
    """Write the secrets into a folder. Return the options of `docker build`, which Podman and Buildah share."""
    pip, npm = pip_settings(), npm_settings()
    certificates = trusted_certificates(pip.get("cert"), npm.get("cafile"))
    # A folder of this machine does not exist in the build.
    pip["find-links"] = "\n".join(link for link in pip.get("find-links", "").split() if "://" in link)
    pip = {key: value for key, value in pip.items() if PIP_SETTINGS.fullmatch(key) and value}
    npm = {key: value for key, value in npm.items() if NPM_SETTINGS.fullmatch(key)}
    if certificates:
        pip["cert"] = npm["cafile"] = CERTIFICATES
    secrets = {
        "certificates": certificates,
        "pip.conf": "[global]\n" + "".join(f"{key} = " + "\n    ".join(pip[key].split("\n")) + "\n" for key in pip),
        "npmrc": "".join(f"{key}={value}\n" for key, value in npm.items()),
    }
    options = []
    for name, text in secrets.items():
        (folder / name).write_text(text, encoding="utf-8")
        options += ["--secret", f"id={name},src={folder / name}"]
    return options


def pip_settings() -> dict[str, str]:
    """Return the settings that apply to `pip install`, from its files and the environment."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key] = ast.literal_eval(value).strip()
    return sections["global"] | sections["install"] | sections[":env:"]


def npm_settings() -> dict[str, str]:
    """Return npm's settings from its files and the environment. `npm config list` hides the tokens."""
    settings: dict[str, str] = {}
    for name in ("globalconfig", "userconfig"):
        file = Path(_output("npm", "config", "get", name).strip())
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        settings |= dict(pair for line in lines for pair in re.findall(r"^\s*([^;#=\s][^=]*?)\s*=\s*(.*?)\s*$", line))
    for name, value in os.environ.items():
        if name.lower().startswith("npm_config_"):
            key = name[len("npm_config_") :]
            settings[key if key.startswith("//") else re.sub(r"(?<!^)_", "-", key.lower())] = value
    # The variables that a value names are not set in the build.
    return {key: re.sub(r"\$\{(\w+)\}", lambda m: os.environ.get(m[1], m[0]), settings[key]) for key in settings}


def trusted_certificates(*configured: str | None) -> str:
    """Return the certificates of the authorities that this machine trusts: a company or a sandbox may add its own."""
    names = [*configured, os.environ.get("NODE_EXTRA_CA_CERTS"), ssl.get_default_verify_paths().cafile]
    names += SYSTEM_CERTIFICATES
    files = {Path(name.strip('"')).resolve() for name in names if name}
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(files) if file.is_file())


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
