#!/usr/bin/env bash
# purser on the next Debian: PostgreSQL 17 and g++ 14 from Debian 13 (OPS-2). Builds a copy of the sources with warnings
# as errors in a tree of that system, then runs pg_regress, the isolation specs and the border's promises on a
# private cluster in it. PURSER_DEBIAN13 names the tree (any system with another PostgreSQL will do); one comes from
#   debootstrap --variant=minbase --include=build-essential,postgresql-17,postgresql-server-dev-17,nlohmann-json3-dev \
#     trixie /var/cache/purser-trixie
# Where there is no tree, or nobody who may enter it, it says so and tests nothing.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly TREE=${PURSER_DEBIAN13:-/var/cache/purser-trixie}
CONFIG=$(compgen -G "$TREE/usr/lib/postgresql/*/bin/pg_config" | tail -n 1 || true)
readonly CONFIG=${CONFIG#"$TREE"}
PLACE=''

skip() {
  say "SKIPPED: $*"
  say "0 passed, 0 failed"
  exit 0
}

# /proc is needed inside, and only while this runs: a mount namespace of its own ends with it.
inside() {
  # shellcheck disable=SC2016  # expanded by the shell inside
  timeout "${1}" unshare --mount --fork --kill-child -- bash -c '
    mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
      PG_CONFIG="$1" bash -c "cd \"$2\" && $3"' "$TREE" "$CONFIG" "${PLACE#"$TREE"}" "$2"
}

on_cluster() { inside 240 "eval \"\$(scripts/cluster env it)\" && $1"; }

clean_up() {
  trap '' INT TERM
  [[ -z $PLACE ]] || inside 60 "scripts/cluster destroy it" || true
  rm -rf "$PLACE"
}

# The files of the project, as they are in the checkout.
copy_sources() {
  PLACE=$(mktemp -d "$TREE/tmp/purser-XXXXXX")
  chmod 755 "$PLACE"
  if [[ -e $ROOT/.git ]]; then
    git -C "$ROOT" ls-files -z | tar -C "$ROOT" --null --ignore-failed-read -T - -cf -
  else
    tar -C "$ROOT" --exclude=./build -cf - .
  fi | tar -C "$PLACE" --no-same-owner -xf -
}

installcheck() {
  on_cluster "make installcheck ISOLATION=" || say "FAILED pg_regress as a whole"
  on_cluster "make installcheck REGRESS=" || say "FAILED the isolation specs as a whole"
  cat "$PLACE/regression.diffs" "$PLACE/output_iso/regression.diffs" 2>/dev/null | head -n 200 || true
}

border() {
  # shellcheck disable=SC2016  # expanded by the shell inside
  on_cluster 'mkdir -p build/border && make -s -j2 -C build/border -f ../../test/border/Makefile &&
    psql -X -d postgres -v module="$PWD/build/border/purser_border" -v calls=10000 -f test/border/border.sql' ||
    say "FAILED the border test as a whole"
}

[[ -n $CONFIG ]] || skip "no system with a PostgreSQL server in $TREE"
is_root || skip "only root may enter $TREE"
unshare --mount true 2>/dev/null || skip "mount namespaces are not allowed here"

exec 9<"$TREE"
flock 9 # one run at a time installs into the tree
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
copy_sources
readonly LOG=$PLACE/log
{
  if inside 300 "make -s -j2 PURSER_WERROR=1 && make -s install && scripts/cluster start it fsync=off"; then
    say "ok 0 - builds without a warning and starts: $(inside 60 '"$PG_CONFIG" --version')"
    installcheck
    border
  else
    say "FAILED it does not build or start"
  fi
} >"$LOG" 2>&1
cat "$LOG"
# pg_regress writes TAP from 16 on, and "test name ... ok" before.
passed=$(grep -cE '^ok |\.\.\. ok\b' "$LOG" || true) failed=$(grep -cE '^(not ok|FAILED) |\.\.\. FAILED' "$LOG" || true)
say "$passed passed, $failed failed"
[[ $failed == 0 ]]
