#!/usr/bin/env bash
# Usage: install_programs.sh PROGRAM...
# Installs what is missing of these by apt-get, where that is nobody else's business: we are root, and no service
# manager would start what comes. Otherwise it says what is missing. It never fails.
set -uo pipefail

PATH="$PATH:/usr/local/sbin:/usr/sbin"
declare -A packages=([tinyproxy]=tinyproxy-bin [node]=nodejs)

missing=()
for program in "$@"; do
    command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    why="there is no apt-get"
elif [ "$(id -u)" != 0 ]; then
    why="apt-get needs root"
elif [ -d /run/systemd/system ]; then
    why="they would be started as services"
else
    why=
fi
if [ -n "$why" ]; then
    echo "not installed: ${missing[*]} ($why); tests that want them are skipped"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120 "$@" </dev/null 2>&1; }

echo "Installing by apt-get: ${missing[*]}"
apt update >/dev/null
for program in "${missing[@]}"; do # one by one: a package that this system does not have shall not stop the others
    said=$(apt install --yes --no-install-recommends "${packages[$program]:-$program}") ||
        echo "not installed: $program (apt-get: $(tail -n 1 <<<"$said")); tests that want it are skipped"
done
exit 0
