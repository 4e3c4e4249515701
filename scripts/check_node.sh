#!/bin/bash
# Ends with an error unless Node is new enough for the browser client's build.
set -euo pipefail
needed=20
found=$(node --version 2>/dev/null | tr -d v || true)
if [ -z "$found" ]; then
  echo "Node $needed or newer is needed; found none. See https://nodejs.org/en/download" >&2
  exit 1
fi
if [ "${found%%.*}" -lt "$needed" ]; then
  echo "Node $needed or newer is needed; found $found at $(command -v node)" >&2
  exit 1
fi
