# shellcheck shell=bash
# A Redis of the benchmark's own, on a unix socket alone, and slices measured with redis-benchmark. Sourced.

readonly REDIS_HOME=$BUILD/redis
redis_pid=''

# Debian's redis-tools brings the server's program too, under the name of one of its modes; its package with the
# right name would also start a service.
redis_program() { command -v redis-server || command -v redis-check-rdb; }

redis_is_here() { command -v redis-benchmark >/dev/null && [[ -n $(redis_program) ]]; }

redis_start() {
  [[ -z $redis_pid ]] || return 0
  mkdir -p "$REDIS_HOME"
  # shellcheck disable=SC2093  # in a subshell
  (exec -a redis-server "$(redis_program)" --port 0 --unixsocket "$REDIS_HOME/socket" --unixsocketperm 700 --save '' \
    --appendonly no --dir "$REDIS_HOME" >"$REDIS_HOME/log" 2>&1) &
  redis_pid=$!
  until redis_cli ping >/dev/null 2>&1; do
    kill -0 "$redis_pid" 2>/dev/null || fail "redis does not start (its log: $REDIS_HOME/log)"
    sleep 0.05
  done
  REDIS_SCRIPT=$(redis_cli script load "$(<"$ROOT/bench/token_bucket.lua")")
}

redis_stop() {
  [[ -z $redis_pid ]] || kill "$redis_pid" 2>/dev/null || true
  rm -rf "$REDIS_HOME"
}

redis_cli() { redis-cli -s "$REDIS_HOME/socket" "$@"; }

redis_ticks() { say $(($(sed 's/.*) //' "/proc/$redis_pid/stat" | cut -d ' ' -f 12,13 | tr ' ' '+'))); }

# What the contender sends, as redis-benchmark has it: a random one of the accounts stands for __rand_int__.
redis_command() {
  case $1 in
    redis) say evalsha "$REDIS_SCRIPT" 1 bucket:__rand_int__ 10000 31622400000 1 ;;
    redis_incr) say incr counter:__rand_int__ ;;
  esac
}

# redis-benchmark counts requests and not seconds: as many as the last slice promises for this one.
REDIS_RATE=40000
redis_slice() {
  local section=$1 round=$2 contender=$3 ticks out tps calls
  calls=$((REDIS_RATE * SECONDS_EACH))
  ticks=$(redis_ticks)
  # shellcheck disable=SC2046  # words of a command
  out=$(redis-benchmark -s "$REDIS_HOME/socket" -c "$CLIENTS" --threads 2 -n "$calls" -r "$ACCOUNTS" --csv $(redis_command "$contender") 2>&1) ||
    fail "$section, $contender: redis-benchmark failed: $out"
  ticks=$(($(redis_ticks) - ticks))
  say "$out" >>"$LOG"
  tps=$(tail -n 1 <<<"$out" | cut -d , -f 2 | tr -d '"')
  REDIS_RATE=$(LC_ALL=C printf '%.0f' "$tps")
  sql -c "INSERT INTO bench.slice VALUES ('$section', $round, '$contender', $calls, $tps, $ticks::float8 / $TICKS_PER_SECOND, 0)"
}

# The requests each bucket and each counter took.
redis_effects() {
  redis_cli eval "local n = 0 for _, k in ipairs(redis.call('KEYS', 'bucket:*')) do n = n + math.ceil(10000 - redis.call('HGET', k, 'tokens')) end return n" 0
}
