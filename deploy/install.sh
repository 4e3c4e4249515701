#!/bin/sh
# Install Bellcast under systemd, or update it, as root:
#
#   ./install.sh bellcast-0.1.0-py3-none-any.whl
#
# It writes /opt/bellcast/VERSION, the link /opt/bellcast/current, the unit bellcast.service, which must be beside this script, and once
# /etc/bellcast/bellcast.env with the settings. If the server is not ready within WAIT seconds, the link and the unit of the version before
# are restored and that version is started. A second run with the same file and extras restarts the server only.
#
# Environment: EXTRAS (postgres,redis, then those of the version before), WAIT (120), PYTHON (python3), DESTDIR (instead of /, for tests).
set -eu
umask 022

fail() { echo "install.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "$# files are named, expected one wheel: ./install.sh bellcast-….whl"
[ -f "$1" ] || fail "$1 does not exist: make wheel in a checkout writes the wheel to dist/"
wheel=$(realpath "$1")
unit_source=$(dirname "$(realpath "$0")")/bellcast.service
[ -f "$unit_source" ] || fail "bellcast.service is not beside this script"
version=$(basename "$wheel" | sed -n 's/^bellcast-\([^-]*\)-.*\.whl$/\1/p')
[ -n "$version" ] || fail "$wheel is not a wheel of Bellcast"
programs=${DESTDIR:-}/opt/bellcast
settings=${DESTDIR:-}/etc/bellcast/bellcast.env
unit=${DESTDIR:-}/etc/systemd/system/bellcast.service
current=$programs/current
before=$(readlink "$current" || true)
extras=${EXTRAS:-$(cat "$current/extras" 2>/dev/null || echo postgres,redis)}

# An installation is complete when it has this digest. Another build of the same version, or other extras, have a folder of their own.
digest=$({ cat "$wheel"; echo "$extras"; } | sha256sum | cut -c1-64)
is_complete() { [ "$(cat "$programs/$1/digest" 2>/dev/null)" = "$digest" ]; }
name=$version
[ ! -e "$programs/$name/digest" ] || is_complete "$name" || name=$version-$(echo "$digest" | cut -c1-8)
if ! is_complete "$name"; then
  error=$(rm -rf "${programs:?}/$name" 2>&1) || fail "cannot replace an incomplete installation: $(echo "$error" | head -n 1)"
  python=${PYTHON:-python3}
  "$python" -c 'import ensurepip, sys; exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$python is not Python 3.11 or newer with venv (Debian: python3-venv): name one in PYTHON"
  mkdir -p "$programs"
  "$python" -m venv "$programs/$name"
  "$programs/$name/bin/pip" install --quiet --disable-pip-version-check "$wheel[$extras]"
  echo "$extras" >"$programs/$name/extras"
  echo "$digest" >"$programs/$name/digest"
fi

# Some settings are secrets.
if [ ! -e "$settings" ]; then
  mkdir -p -m 0700 "$(dirname "$settings")"
  (umask 077 && echo "# Settings of Bellcast, one per line, such as BELLCAST_PUBLIC_URL=https://bell.example.com" >"$settings")
fi
chmod 0600 "$settings"

link() { ln -sfn "$1" "$current.new" && mv -T "$current.new" "$current"; } # in one step: the link always exists

# The address at which the server with these settings answers on this machine.
value() { sed -n "s/^$1=[\"']\{0,1\}\([^\"']*\).*/\1/p" "$settings" | tail -n 1; }
host=$(value BELLCAST_HOST)
case "$host" in '' | 0.0.0.0) host=127.0.0.1 ;; ::) host=::1 ;; esac
port=$(value BELLCAST_PORT)
# http.client connects directly, also if the environment names a proxy.
ready="import http.client as h; c = h.HTTPConnection('$host', ${port:-8787}, timeout=5); c.request('GET', '/readyz'); exit(c.getresponse().status != 200)"

start() {
  systemctl daemon-reload && systemctl enable --quiet bellcast && systemctl restart bellcast || return 1
  for _ in $(seq 0 "${WAIT:-120}"); do
    # Another server may answer at this address while this one ends because the port is in use.
    "$programs/$name/bin/python" -c "$ready" 2>/dev/null && sleep 1 && systemctl is-active --quiet bellcast && return
    sleep 1
  done
  return 1
}

[ ! -e "$unit" ] || cp -p "$unit" "$unit.before"
cp "$unit_source" "$unit"
link "$name"
if start; then
  rm -f "$unit.before"
  echo "Bellcast $version runs from $programs/$name. Its log: journalctl -u bellcast"
  exit
fi
if [ -n "$before" ]; then link "$before"; else rm -f "$current"; fi
if [ -e "$unit.before" ]; then
  mv "$unit.before" "$unit"
  [ "$before" = "$name" ] || ! start || fail "$version does not start, ${before:-the server before} runs again: journalctl -u bellcast"
else
  systemctl disable --quiet --now bellcast || true
  rm -f "$unit"
fi
fail "$version does not start: journalctl -u bellcast"
