# A server: its process, the paths of its routes, and what it has stored.

server_pid=
# The most memory that the server's processes have had.
peak_kb=0

tool() { "$here/target/release/bench-report" "$@"; }

free_port() {
  local port
  while :; do
    port=$((10000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# The URL of the server's route that does WHAT: plain, read or count.
url_of() {
  case $server/$1 in
    application/plain) echo "$base/healthz" ;;
    application/read) echo "$base/api/session" ;;
    application/count) echo "$base/api/session/test-session" ;;
    *) echo "$base/$1" ;;
  esac
}

# Starts the server on database_url and waits until it answers; sets server_pid and base.
start_server() {
  local port command
  case $server in
    application) command=("$here/target/application/release/rocket_diesel_sessions" serve) ;;
    express_pg_simple) command=(node "$here/express/pg-simple.js") ;;
    express_prisma) command=(node "$here/express/prisma.js") ;;
    *) command=("$here/target/release/$server") ;;
  esac
  port=$(free_port)
  base=http://127.0.0.1:$port
  # In a directory without a Rocket.toml above it, and with nothing else from the environment.
  (
    cd "$tmp"
    exec env -i PATH="$PATH" DATABASE_URL="$database_url" PORT="$port" SESSION_SECRET="$secret" \
      NODE_ENV=production ROCKET_PROFILE=release ROCKET_ADDRESS=127.0.0.1 ROCKET_PORT="$port" \
      ROCKET_LOG_LEVEL=off ROCKET_SECRET_KEY="$(printf %s "$secret" | base64)" \
      ROCKET_SESSIONS='{cookie={secure=false,name="session"}}' "${command[@]}"
  ) >"$tmp/server.log" 2>&1 &
  server_pid=$!
  local try
  for ((try = 0; try < 300; try++)); do
    if curl -fs -o /dev/null "$(url_of plain)"; then return; fi
    kill -0 "$server_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$tmp/server.log" >&2
  die "$server does not answer"
}

stop_server() {
  [ -n "$server_pid" ] || return 0
  local try kb
  kb=$(awk '/^VmHWM/ { print $2 }' "/proc/$server_pid/status" 2>/dev/null) || true
  [ "${kb:-0}" -le "$peak_kb" ] || peak_kb=$kb
  kill "$server_pid" 2>/dev/null || true
  for ((try = 0; try < 100; try++)); do
    kill -0 "$server_pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$server_pid" 2>/dev/null || true
  wait "$server_pid" 2>/dev/null || true
  server_pid=
}

# Makes the sessions and writes their cookies, "name=value", to the file cookies.
create_sessions() {
  curl -f --no-progress-meter --parallel --parallel-max 64 -o /dev/null -D "$tmp/headers" \
    "$(url_of count)?session=[1-$sessions]"
  tool cookies "$tmp/headers" >"$tmp/cookies"
  head -n 1 "$tmp/cookies" >"$tmp/hot"
  [ "$(wc -l <"$tmp/cookies")" = "$sessions" ] || die "not every new session got one cookie"
}

# The sum of the counts stored for the cookies in FILE.
stored_counts() {
  rm -rf "$tmp/answers"
  mkdir "$tmp/answers"
  tool reads "$1" "$(url_of read)" "$tmp/answers" >"$tmp/reads"
  curl --no-progress-meter --parallel --parallel-max 64 -K "$tmp/reads"
  tool sum "$tmp/answers"
}
