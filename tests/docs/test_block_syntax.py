"""Blocks that are not run are checked by the parser of their language."""

import ast
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.docs import blocks
from tests.docs.test_examples import FIRST_PAGES, HANDWRITTEN, ROOT, page_id

ESBUILD = ROOT / "client" / "node_modules" / ".bin" / "esbuild"
PAGES = [*FIRST_PAGES, *HANDWRITTEN, ROOT / "client" / "README.md"]
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL)
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
TAG = re.compile(r"<(bellcast-[a-z]+)\b")
ELEMENTS = {"bellcast-bell", "bellcast-inbox", "bellcast-toasts", "bellcast-preferences"}
# Placeholders of template engines.
FIELD = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>", re.DOTALL)


def run(program: str, *arguments: str, source: str) -> str:
    """Return the errors of a parser."""
    found = subprocess.run([program, *arguments], input=source, capture_output=True, text=True, timeout=60)
    return "" if found.returncode == 0 else found.stdout + found.stderr


def esbuild(loader: str, source: str) -> str:
    """Return errors and warnings: wrong CSS is a warning."""
    command = [str(ESBUILD), f"--loader={loader}", "--jsx=automatic", "--log-level=warning"]
    return subprocess.run(command, input=source, capture_output=True, text=True, timeout=60).stderr


def script(loader: str) -> Callable[[str], str]:
    """Check a module, or the properties of an object, which a page shows alone."""
    return lambda text: esbuild(loader, text) and esbuild(loader, f"({{{text}}})") and esbuild(loader, text)


def html(text: str) -> str:
    """Check the scripts, the styles and the elements of a page."""
    unknown = set(TAG.findall(text)) - ELEMENTS
    plain = FIELD.sub("0", text)
    errors = [f"unknown elements {unknown}" * bool(unknown)]
    errors += [esbuild("ts" if 'lang="ts"' in attributes else "js", code) for attributes, code in SCRIPT.findall(plain)]
    errors += [esbuild("css", css) for css in STYLE.findall(plain)]
    return "".join(errors)


def python(text: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return str(error)
    return ""


def parse_json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        return str(error)
    return ""


def parse_yaml(text: str) -> str:
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        return str(error)
    return ""


def php(text: str) -> str:
    """Check statements, or the entries of an array, which a page shows alone."""
    return run("php", "-l", source=f"<?php {text}") and run("php", "-l", source=f"<?php return [{text}];")


PARSERS: dict[str, Callable[[str], str]] = {
    "js": script("js"),
    "jsx": script("jsx"),
    "ts": script("ts"),
    "tsx": script("tsx"),
    "css": lambda text: esbuild("css", text),
    "html": html,
    "vue": html,
    "svelte": html,
    "python": python,
    "json": parse_json,
    "yaml": parse_yaml,
    "sh": lambda text: run("bash", "-n", source=text),
    "php": php,
    "ruby": lambda text: run("ruby", "-c", source=FIELD.sub("", text)),
    "go": lambda text: run("gofmt", "-e", source=text),
    "caddyfile": lambda text: run("caddy", "adapt", "--adapter", "caddyfile", "--config", "/dev/stdin", source=text),
    "diff": lambda text: run("git", "apply", "--numstat", source=text),
    "text": lambda _: "",
    "java": lambda _: "",  # the compiler would need the app's libraries
}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_blocks_for_reading_are_valid_in_their_language(page: Path) -> None:
    reading = [block for block in blocks.of(page) if block.kind == "read"]
    wrong = {f"line {block.line}": error for block in reading if (error := PARSERS[block.language](block.text))}
    assert wrong == {}
