#!/usr/bin/env bash
# The guides in docs are true: their SQL runs and answers what they say, their Python and Node are the examples' own,
# and the tests of examples/limits and examples/credits pass on what setup.sql made. Without a package registry for
# Node at hand that part is SKIPPED, and says so.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly GUIDES=(limits credits ledger) EXAMPLES=$ROOT/examples/limits NODE_PLACE=$BUILD/limits-guide
readonly GUIDE_DATABASE=guide_$$ EXAMPLE_DATABASE=limits_example_$$
LOG=$(mktemp)
passed=0 failed=0

sql() { PGOPTIONS="-c client_min_messages=warning" run_psql -q -v ON_ERROR_STOP=1 "$@"; }

# The guides make roles, and roles belong to the cluster.
drop_all() {
  sql -d postgres -c "DROP DATABASE IF EXISTS $GUIDE_DATABASE WITH (FORCE)" \
    -c "DROP DATABASE IF EXISTS $EXAMPLE_DATABASE WITH (FORCE)" -c "DROP ROLE IF EXISTS my_app, my_operator"
}

clean_up() {
  trap '' INT TERM
  drop_all || true
  rm -f "$LOG"
}

# count_log NAME OK-PATTERN BAD-PATTERN CODE: how many lines of the log say so; a run that failed, or tested nothing,
# is at least one failure.
count_log() {
  local good bad
  good=$(grep -cE "$2" "$LOG" || true)
  bad=$(grep -cE "$3" "$LOG" || true)
  if [[ $bad == 0 && ($4 != 0 || $good == 0) ]]; then bad=1; fi
  passed=$((passed + good)) failed=$((failed + bad))
  say "$1: $good ok, $bad failed"
  [[ $bad == 0 ]] || cat "$LOG"
}

# guide NAME: in a database of its own.
guide() {
  local code=0
  drop_all
  sql -d postgres -c "CREATE DATABASE $GUIDE_DATABASE"
  PGDATABASE=$GUIDE_DATABASE "$PYTHON" "$ROOT/test/guides/check_guide" "$ROOT/docs/$1.md" >"$LOG" 2>&1 || code=$?
  count_log "docs/$1.md" '^ok ' '^FAILED ' "$code"
}

set_up_example() {
  drop_all
  sql -d postgres -c "CREATE DATABASE $EXAMPLE_DATABASE"
  export PGDATABASE=$EXAMPLE_DATABASE
  sql -o "$LOG" -f "$EXAMPLES/setup.sql"
}

# python_tests NAME: of examples/NAME.
python_tests() {
  local code=0
  (cd "$ROOT/examples/$1/python" && PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m unittest -v) >"$LOG" 2>&1 || code=$?
  count_log "Python, $1" ' \.\.\. ok$' ' \.\.\. (FAIL|ERROR)$' "$code"
}

# In a copy, so that nothing is fetched into the sources.
fetch_node_modules() {
  rm -rf "$NODE_PLACE"
  cp -r "$EXAMPLES/node" "$NODE_PLACE"
  (cd "$NODE_PLACE" && npm ci --fetch-retries=1 --fetch-timeout=20000) >"$LOG" 2>&1
}

registry_answers() { (cd "$NODE_PLACE" && timeout 30 npm ping --fetch-retries=0) >/dev/null 2>&1; }

node_tests() {
  local code=0
  if ! "$ROOT/scripts/packages" node; then
    say "SKIPPED: the Node example (node and npm could not be installed)"
  elif fetch_node_modules; then
    (cd "$NODE_PLACE" && node --test --test-reporter=tap) >"$LOG" 2>&1 || code=$?
    count_log "Node" '^ok ' '^not ok ' "$code"
  elif registry_answers; then
    count_log "Node, npm ci" '^$^' '^npm ERR!|^npm error' 1
  else
    say "SKIPPED: the Node example (npm reaches no registry)"
  fi
}

"$ROOT/scripts/packages" python
choose_server
PYTHON=$(python_with psycopg)
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT

for name in "${GUIDES[@]}"; do guide "$name"; done
set_up_example
python_tests limits
python_tests credits
node_tests

say "$passed passed, $failed failed"
[[ $failed == 0 ]]
