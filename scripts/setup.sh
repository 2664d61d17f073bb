#!/bin/sh
# Installs what the checks and tests need and a fresh Debian machine lacks. Installed things are left as they are;
# nothing is removed. Run as root, or with sudo at hand.
set -eu

cd "$(dirname "$0")/.."

missing=''
# need PACKAGE TEST...: the package is missing unless the test succeeds.
need() {
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

need chromium test -x /usr/bin/chromium
need firefox-esr test -x /usr/bin/firefox-esr
need nginx-light test -x /usr/sbin/nginx
need python3 test -x /usr/bin/python3
need python3-libtorrent /usr/bin/python3 -c 'import libtorrent'
need iproute2 test -x /usr/sbin/ip -o -x /sbin/ip -o -x /usr/bin/ip
need nftables test -x /usr/sbin/nft
need webkit2gtk-driver test -x /usr/bin/WebKitWebDriver
need xvfb test -x /usr/bin/Xvfb

if [ -n "$missing" ]; then
  sudo=''
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "setup: installing$missing" >&2
  $sudo apt-get update -qq
  # shellcheck disable=SC2086 # a list of names
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >&2
fi

for tool in go node npm; do
  command -v "$tool" >/dev/null || { echo "setup: $tool is missing: install Go 1.26 and Node 20 or later" >&2; exit 1; }
done

# The lock file decides; node_modules is made anew only when it has changed.
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
fi
go mod download
