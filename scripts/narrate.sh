# shellcheck shell=bash
# Turns a story into input for psql, so that a reader sees what was typed, why, and the answer. Sourced.
#
# A story is an SQL file of paragraphs between blank lines. In a paragraph:
#   -- # text      opens a chapter
#   -- text        is said to the reader
#   --! SQLSTATE   the paragraph's last statement must fail with exactly that; anything else ends the story
#   --~            the paragraph is run without being shown (checks)
#   other lines    are shown as typed and then run; an error nobody announced ends the story
# Run it with ON_ERROR_STOP: that is how the story ends with a non-zero exit code.

# As an argument of psql's \echo: in quotes, where only quotes and backslashes mean something.
psql_quoted() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\'\'}"
}

echo_line() { printf '\\echo %s\n' "$(psql_quoted "$1")"; }

narrate_comment() {
  case $1 in
    '# '*) echo_line '' && echo_line "$BOLD${1#\# }$PLAIN" && echo_line "$BOLD$(printf '%*s' $((${#1} - 2)) '' | tr ' ' '=')$PLAIN" ;;
    *) echo_line "$1" ;;
  esac
}

# What must fail is run without ON_ERROR_STOP, and then held against what was announced.
run_expecting() {
  local sqlstate=$1 sql=$2
  printf '\\set ON_ERROR_STOP off\n%s\\set ON_ERROR_STOP on\n' "$sql"
  printf "SELECT :'SQLSTATE' = '%s' AS as_announced \\\\gset\n" "$sqlstate"
  printf '\\if :as_announced\n'
  echo_line "${GREEN}refused, as it should be (SQLSTATE $sqlstate)$PLAIN"
  printf '\\else\n'
  printf "DO \$\$ BEGIN RAISE EXCEPTION 'the story goes on only if the statement above fails with SQLSTATE %s'; END \$\$;\n" "$sqlstate"
  printf '\\endif\n'
}

narrate_paragraph() {
  local line sql='' expected='' quiet=no
  echo_line ''
  while IFS= read -r line; do
    case $line in
      --!\ *) expected=${line#--! } ;;
      --~) quiet=yes ;;
      --*) line=${line#--} && narrate_comment "${line# }" ;;
      *) sql+=$line$'\n' ;;
    esac
  done
  [[ -n $sql ]] || return 0
  if [[ $quiet == yes ]]; then
    printf '\\set QUIET on\n%s\\set QUIET off\n' "$sql"
    return
  fi
  echo_line ''
  while IFS= read -r line; do echo_line "    $BLUE$line$PLAIN"; done <<<"${sql%$'\n'}"
  echo_line ''
  if [[ -n $expected ]]; then run_expecting "$expected" "$sql"; else printf '%s' "$sql"; fi
}

narrate() {
  local paragraph='' line file
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ -n $line ]]; then
      paragraph+=$line$'\n'
    elif [[ -n $paragraph ]]; then
      narrate_paragraph <<<"${paragraph%$'\n'}"
      paragraph=''
    fi
  done < <(for file in "$@"; do cat "$file" && echo; done)
}
