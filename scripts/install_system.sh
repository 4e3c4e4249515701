#!/usr/bin/env bash
# Installs missing Debian packages for the given purposes: python, node, engines, nats, languages, browsers,
# pictures, buildah, mmdebstrap, chart. Needs root only to install.
set -euo pipefail

# Required by client/package.json. Debian 12 and Ubuntu 22.04 have older ones.
node_required=20

# Debian 12 has 2.9; histories of live events need 2.11.
nats_version=v2.12.7
# Check the Helm chart.
helm_version=v3.19.2
kubeconform_version=v0.7.0
# The version of Go that these programs name.
go_version=go1.25.9

# The major version of 20.19.2~dfsg-1 or v20.19.2.
major() { local version=${1#v}; echo "${version%%[!0-9]*}"; }

require_node() {
  local found
  found=$(major "$1")
  if [ "${found:-0}" -lt "$node_required" ]; then
    echo "Node $node_required or newer is needed, and $2 is ${1:-missing}. Install it from https://nodejs.org/en/download" \
      "or use Debian 13 or Ubuntu 25.04, then try again." >&2
    exit 1
  fi
}

missing=()
# Go modules of programs that Debian lacks.
builds=()
for purpose in "$@"; do
  case "$purpose" in
    python) "${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv) ;;
    node)
      if command -v npm >/dev/null; then
        require_node "$(node --version)" "the installed node"
      else
        missing+=(nodejs npm)
      fi
      ;;
    engines)
      command -v chromium >/dev/null || missing+=(chromium)
      command -v chromium-headless-shell >/dev/null || missing+=(chromium-headless-shell)
      # Without -q: grep would end at the first font, and the pipe fail.
      fc-list 2>/dev/null | grep . >/dev/null || missing+=(fonts-dejavu-core fontconfig)
      [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
      [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan)
      command -v caddy >/dev/null || missing+=(caddy)
      command -v redis-server >/dev/null || missing+=(redis-server)
      command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
      # promtool tests the alerts.
      command -v promtool >/dev/null || missing+=(prometheus)
      [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
      command -v systemd-analyze >/dev/null || missing+=(systemd)
      command -v curl >/dev/null || missing+=(curl)
      ;;
    nats)
      if [ "$(PATH="$PATH:$HOME/.local/bin" nats-server --version 2>/dev/null)" != "nats-server: $nats_version" ]; then
        builds+=("github.com/nats-io/nats-server/v2@$nats_version")
      fi
      ;;
    chart)
      command -v helm >/dev/null || builds+=("helm.sh/helm/v3/cmd/helm@$helm_version")
      command -v kubeconform >/dev/null || builds+=("github.com/yannh/kubeconform/cmd/kubeconform@$kubeconform_version")
      command -v go >/dev/null || missing+=(golang-go) # downloads the schemas of Kubernetes
      ;;
    languages)
      # The documentation's examples in these run in the tests.
      command -v php >/dev/null || missing+=(php-cli)
      command -v ruby >/dev/null || missing+=(ruby)
      command -v java >/dev/null || missing+=(default-jdk-headless)
      command -v gofmt >/dev/null || missing+=(golang-go)
      ;;
    browsers)
      command -v firefox-esr >/dev/null || missing+=(firefox-esr)
      command -v WebKitWebDriver >/dev/null || missing+=(webkit2gtk-driver)
      command -v Xvfb >/dev/null || missing+=(xvfb)
      ;;
    pictures)
      fc-list | grep -i '/inter' >/dev/null || missing+=(fonts-inter)
      fc-list | grep -i emoji >/dev/null || missing+=(fonts-noto-color-emoji)
      ;;
    buildah) command -v buildah >/dev/null || missing+=(buildah) ;;
    mmdebstrap)
      command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
      # With the keys of Debian 13, which the packages of an older release have in an update.
      [ -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ] || missing+=(debian-archive-keyring)
      ;;
  esac
done

[ "${#builds[@]}" -eq 0 ] || command -v go >/dev/null || missing+=(golang-go)
if [ "${#missing[@]}" -gt 0 ]; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Packaged servers start themselves on their usual ports; the tests start their own on free ones.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ] && [ -w "${policy%/*}" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  # A new machine may be updating itself, and a mirror may hang up.
  patient=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  # The timeout is only for the lock of the packages, not for that of their lists.
  for attempt in {1..12}; do
    if apt-get "${patient[@]}" update; then break; fi
    [ "$attempt" -lt 12 ] || exit 1
    sleep 5
  done
  if [[ " ${missing[*]} " == *" nodejs "* ]]; then
    require_node "$(apt-cache policy nodejs | sed -n 's/^ *Candidate: *//p')" "the newest of this system's packages"
  fi
  apt-get "${patient[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ "${#builds[@]}" -gt 0 ]; then
  echo "building ${builds[*]}"
  folder=/usr/local/bin
  [ -w "$folder" ] || folder=$HOME/.local/bin
  go=go
  if [ "$(go version | sed -E 's/^go version go1\.([0-9]+).*/\1/')" -lt 21 ]; then
    # Since 1.21, Go downloads the version that a program needs. For an older one, such as that of Debian 12, this does: Go is
    # a module too.
    toolchain=$(go mod download -json "golang.org/toolchain@v0.0.1-$go_version.linux-$(go env GOARCH)" |
      sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    chmod -R +x "$toolchain/bin" "$toolchain/pkg/tool"
    go=$toolchain/bin/go
  fi
  # One processor, beside the other preparations.
  for module in "${builds[@]}"; do
    GOBIN=$folder GOTOOLCHAIN=auto GOFLAGS=-p=1 nice "$go" install -ldflags=-s "$module"
  done
fi
