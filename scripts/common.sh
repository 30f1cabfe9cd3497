# shellcheck shell=bash
# What every script here shares: where the checkout is, how to speak to the person at the terminal,
# and which PostgreSQL the project is built for. Sourced, never run.

set -euo pipefail
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
export ROOT BUILD

# Colours only where a person looks at them; NO_COLOR is the usual way to decline.
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' BLUE=$'\e[36m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' RED='' GREEN='' BLUE='' PLAIN=''
fi
export BOLD DIM RED GREEN BLUE PLAIN

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s\n' "${RED}error:${PLAIN} $*" >&2
  exit 1
}

is_root() { [[ $(id -u) == 0 ]]; }

can_be_root() { is_root || command -v sudo >/dev/null; }

# The command as root: directly, or through sudo. The environment goes along because PG_CONFIG does.
as_root() {
  if is_root; then
    "$@"
  else
    can_be_root || fail "this needs root, and sudo is not installed: $*"
    sudo -E "$@"
  fi
}

# make exports PG_CONFIG even when nobody set it; the bare name then only says "the first on PATH".
pg_config_is_chosen() { [[ -n ${PG_CONFIG:-} && $PG_CONFIG != pg_config ]]; }

# The pg_config of the server everything is built for, as an absolute path; nothing when there is none.
pg_config_path() {
  command -v "${PG_CONFIG:-pg_config}" || true
}

# The server's major version, from pg_config itself or from the path it is going to have.
pg_major() {
  local config
  config=$(pg_config_path)
  if [[ -n $config ]]; then
    "$config" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
  elif [[ ${PG_CONFIG:-} =~ /postgresql/([0-9]+)/ ]]; then
    say "${BASH_REMATCH[1]}"
  fi
}

# Everything after the packages are in place runs on one and the same server.
choose_server() {
  local chosen=${PG_CONFIG:-pg_config}
  PG_CONFIG=$(pg_config_path)
  [[ -n $PG_CONFIG ]] || fail "no PostgreSQL development files: '$chosen' is not there (scripts/packages build installs them)"
  PG_BIN=$("$PG_CONFIG" --bindir)
  export PG_CONFIG PG_BIN
}

# One and the same client for every script: no start-up file, no pager, no password prompt.
run_psql() { "$PG_BIN/psql" --no-psqlrc --no-password "$@"; }

# make test may be called as make -j, or with flags that are not for the makes called from here.
unset MAKEFLAGS MFLAGS MAKELEVEL

# The first Python that has a module: Debian's packages are for Debian's own, which need not be the first on PATH.
python_with() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c "import $1" >/dev/null 2>&1; then
      say "$python"
      return
    fi
  done
  return 1
}

cores() { nproc 2>/dev/null || say 2; }

# Where the server looks for extensions, which root may have kept to itself.
install_needs_root() {
  [[ ! -w $("$PG_CONFIG" --pkglibdir) || ! -w $("$PG_CONFIG" --sharedir)/extension ]]
}

install_extension() {
  local install=(make -s -C "$ROOT" install "PG_CONFIG=$PG_CONFIG")
  if install_needs_root; then as_root "${install[@]}"; else "${install[@]}"; fi
}
