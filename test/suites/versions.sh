#!/usr/bin/env bash
# The version is written once: META.json agrees with purser.control, no other file says it, the server installs it.
# META.json is what PGXN asks for, and the install script is joined from every module.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

readonly DATABASE=purser_versions_$$
passed=0 failed=0

clean_up() { run_psql -q -d postgres -c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" || true; }

# check NAME COMMAND…: the command says what is wrong, or nothing.
check() {
  local name=$1 wrong
  shift
  wrong=$("$@" 2>&1) || wrong=${wrong:-failed}
  if [[ -z $wrong ]]; then
    passed=$((passed + 1))
    say "ok $name"
  else
    failed=$((failed + 1))
    say "FAILED $name: $wrong"
  fi
}

control_version() { sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$ROOT/purser.control"; }

# The server reads the JSON: it is here anyway. The condition may use :version and the column meta.
meta_says() {
  local answer
  answer=$(run_psql -At -v ON_ERROR_STOP=1 -v version="$(control_version)" -v meta="$(<"$ROOT/META.json")" \
    -d postgres <<<"SELECT $1 FROM (SELECT :'meta'::jsonb AS meta) AS m")
  [[ $answer == t ]] || say "$answer"
}

meta_names_missing() {
  run_psql -At -v ON_ERROR_STOP=1 -v meta="$(<"$ROOT/META.json")" -d postgres <<'SQL'
SELECT 'no ' || wanted.path
  FROM (VALUES ('{name}'), ('{version}'), ('{abstract}'), ('{maintainer}'), ('{license}'), ('{provides}'),
               ('{provides,purser,file}'), ('{provides,purser,version}'),
               ('{meta-spec,version}'), ('{meta-spec,url}')) AS wanted (path)
 WHERE coalesce(:'meta'::jsonb #>> wanted.path::text[], '') = '';
SQL
}

meta_files_missing() {
  local file
  while read -r file; do [[ -f $ROOT/$file ]] || say "$file is not there"; done < <(
    run_psql -At -v ON_ERROR_STOP=1 -v meta="$(<"$ROOT/META.json")" -d postgres <<'SQL'
SELECT p.value #>> field::text[] FROM jsonb_each(:'meta'::jsonb -> 'provides') AS p,
       (VALUES ('{file}'), ('{docfile}')) AS fields (field)
 WHERE p.value #>> field::text[] IS NOT NULL;
SQL
  )
}

joined_script() { say "$ROOT/purser--$(control_version).sql"; }

# Each module is in the joined script as it is, and nothing else is.
join_wrong() {
  local module joined total=0
  joined=$(<"$(joined_script)")
  for module in "$ROOT"/extension/sql/*.sql; do
    total=$((total + $(wc -c <"$module")))
    [[ $joined == *"$(<"$module")"* ]] || say "${module#"$ROOT"/} is not in it as it is"
  done
  [[ $total == "$(wc -c <"$(joined_script)")" ]] || say "the modules have $total bytes, the script another number"
}

installed_wrong() {
  cmp "$(joined_script)" "$("$PG_CONFIG" --sharedir)/extension/purser--$(control_version).sql"
  cmp "$ROOT/purser.control" "$("$PG_CONFIG" --sharedir)/extension/purser.control"
}

files_of_project() {
  if [[ -e $ROOT/.git ]]; then git -C "$ROOT" ls-files; else (cd "$ROOT" && find . -type f -not -path './build/*'); fi
}

# A changelog is history: it names every version there was.
files_that_write_the_version() {
  local version
  version=$(control_version)
  (cd "$ROOT" && files_of_project | grep -vxE '(\./)?(purser\.control|META\.json|CHANGELOG\.md)' |
    xargs -d '\n' grep -nIE "(^|[^0-9.])${version//./\\.}([^0-9.]|\$)") || true
}

extension_wrong() {
  local version
  version=$(run_psql -At -v ON_ERROR_STOP=1 -d "$DATABASE" -c "CREATE EXTENSION purser" \
    -c "SELECT extversion FROM pg_extension WHERE extname = 'purser'" | tail -n 1)
  [[ $version == "$(control_version)" ]] || say "CREATE EXTENSION made version $version"
}

choose_server
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
[[ -f $(joined_script) ]] || make -s -C "$ROOT" "$(basename "$(joined_script)")"
run_psql -q -d postgres -v ON_ERROR_STOP=1 -c "CREATE DATABASE $DATABASE"

check "the control file names a version" meta_says "(:'version' ~ '^\d+\.\d+\.\d+$')"
check "META.json is a JSON object" meta_says "jsonb_typeof(meta) = 'object'"
check "META.json has all that PGXN requires" meta_names_missing
check "META.json names files that exist" meta_files_missing
check "META.json has the version of the control file" meta_says "meta ->> 'version' = :'version'"
check "META.json provides that version" meta_says "meta #>> '{provides,purser,version}' = :'version'"
check "no other file writes the version" files_that_write_the_version
check "the install script is every module, joined" join_wrong
check "what is installed is what was built" installed_wrong
check "the server makes the extension in that version" extension_wrong

say "$passed passed, $failed failed"
[[ $failed == 0 ]]
