# The loads, and what they record.

# Adds a line to the results: round, server, metric, value.
record() { printf '%s\t%s\t%s\t%s\n' "$round" "$server" "$1" "$2" >>"$tmp/results"; }

# Loads the route WHAT over CONNECTIONS with the cookies of FILE, and records it as NAME; sets
# answered.
load() {
  local metric=$1_$3 what=$2 connections=$3 cookies=$4 threads=2 result
  local rate refused broken p50 p99
  [ "$connections" -gt 1 ] || threads=1
  result=$(COOKIES=$cookies wrk -t $threads -c "$connections" -d "${seconds}s" --latency \
    -s "$here/load.lua" "$(url_of "$what")" | sed -n 's/^result //p')
  read -r answered rate refused broken p50 p99 <<<"$result"
  record "${metric}_per_s" "$rate"
  record "${metric}_p50_ms" "$p50"
  record "${metric}_p99_ms" "$p99"
  record "${metric}_refused" "$refused"
  record "${metric}_socket_errors" "$broken"
}

# Loads the route that counts over 64 connections with the cookies of FILE, and records how many
# increments were answered and how many are stored afterwards.
load_and_compare() {
  local metric=$1 cookies=$2 before after
  before=$(stored_counts "$cookies")
  load "$metric" count 64 "$cookies"
  # What was under way when wrk closed its connections.
  sleep 1
  # From the database, not from a cache in the server's memory.
  stop_server
  start_server
  after=$(stored_counts "$cookies")
  record "${metric}_64_answered" "$answered"
  record "${metric}_64_stored" $((after - before))
}

measure_loads() {
  local few=(1 4 16) connections
  # Express is a tenth as fast; with fewer connections it would only take time.
  [[ $server != express_* ]] || few=()
  for connections in "${few[@]:0:1}" 64; do load plain plain "$connections" "$tmp/cookies"; done
  for connections in "${few[@]}" 64; do load read read "$connections" "$tmp/cookies"; done
  for connections in "${few[@]}"; do load count count "$connections" "$tmp/cookies"; done
  load_and_compare count "$tmp/cookies"
  load_and_compare hot "$tmp/hot"
}

measure_server() {
  server=$1
  local name=bench_${server}_$round
  say "round $round of $rounds: $server"
  create_database "$name"
  start_server
  create_sessions
  settle_database
  peak_kb=0
  measure_loads
  stop_server
  record peak_kb "$peak_kb"
  drop_database "$name"
}

# What PostgreSQL itself does in one statement: the limit of a server that sends one a request.
measure_pgbench() {
  server=pgbench
  local name=bench_pgbench_$round script
  say "round $round of $rounds: pgbench"
  create_database "$name"
  psql -d "$database_url" -f "$here/pgbench/table.sql"
  settle_database
  for script in select update; do
    record "${script}_per_s" "$("$bin/pgbench" -n -M prepared -c 10 -j 2 -T "$seconds" \
      -f "$here/pgbench/$script.sql" "$database_url" 2>/dev/null |
      sed -n 's/^tps = \([0-9.]*\).*/\1/p')"
  done
  drop_database "$name"
}
