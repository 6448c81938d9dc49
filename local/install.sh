#!/bin/sh
# install.sh [VENV LOCK PYTHON]: makes .venv what requirements-dev.lock says, or VENV what LOCK
# says, with that Python.
# Needs a Python 3 to start from, or uv; writes into this folder only (and into uv's and pip's
# caches).
set -eu

venv=${1:-.venv}
lock=${2:-requirements-dev.lock}
base=${3:->=3.12,<3.15}

fail() {
    echo "rollcall: $1; make doctor says what is wrong" >&2
    exit 1
}

# Counts the seconds on a terminal, until this shell exits.
show_progress() {
    [ -t 2 ] || return 0
    seconds=0
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        seconds=$((seconds + 1))
        printf '\r%s s' $seconds >&2
    done
}

install_uv() {
    rm -rf .tools
    "$1" -m venv .tools && .tools/bin/python -m pip install uv && return
    # Debian's python3 comes without venv's other half; its pip, if it is there, will do.
    rm -rf .tools
    "$1" -m pip install --target .tools/lib uv && mkdir .tools/bin && ln -s ../lib/bin/uv .tools/bin
}

find_uv() {
    uv --version && uv=uv && return
    uv=.tools/bin/uv
    $uv --version && return
    # Both the first python3 on the PATH, which may be a version manager's that is not set up,
    # and the system's own.
    for python in "$(command -v python3)" "$(command -pv python3)"; do
        [ -n "$python" ] && install_uv "$python" && return
    done
    return 1
}

echo "rollcall: installing what $lock says into $venv" >&2
log=$(mktemp)
trap 'rm -f "$log"; [ -t 2 ] && printf "\\r" >&2' EXIT
trap 'exit 130' INT
show_progress &
if ! find_uv >"$log" 2>&1; then
    cat "$log" >&2
    fail "cannot install uv: it takes a Python 3 with venv or pip (on Debian: python3-venv), or uv"
fi

export UV_PYTHON_INSTALL_DIR="$PWD/.tools/python"
# As pip: the authorities of the system, where a company's own may be. By its old name too.
if [ -d /etc/ssl/certs ]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS-1}" UV_NATIVE_TLS="${UV_NATIVE_TLS-1}"
fi
supported='import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 15))'
if ! "$venv/bin/python" -c "$supported" 2>/dev/null; then
    rm -rf "$venv"
    "$uv" venv --quiet --python "$base" "$venv" ||
        fail "Rollcall needs Python 3.12 to 3.14: there is none here, and uv could not fetch one"
fi
"$uv" pip sync --quiet --compile-bytecode --python "$venv/bin/python" \
    --require-hashes "$lock" || fail "cannot install what $lock says"
touch "$venv/.installed"
