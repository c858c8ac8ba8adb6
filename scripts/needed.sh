#!/usr/bin/env bash
# Sourced by quickstart.sh and check.sh: what they need and this machine does not have is installed.

# not_here PACKAGE:COMMAND...: the array `missing` names the packages whose command is not here.
not_here() {
    local pair
    missing=()
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair#*:}" >/dev/null || missing+=("${pair%%:*}")
    done
}

# install_missing PACKAGE:COMMAND...: asks apt-get for them, as root or by sudo. What cannot be had stays missing: whoever
# asked decides whether it can do without.
install_missing() {
    local sudo=()
    not_here "$@"
    [[ ${#missing[@]} -gt 0 ]] && command -v apt-get >/dev/null || return 0
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || return 0
        sudo=(sudo)
    fi
    printf '\n== apt-get install %s\n' "${missing[*]}"
    "${sudo[@]}" apt-get update -q || true
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" || true
}
