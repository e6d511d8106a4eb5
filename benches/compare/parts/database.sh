# The databases: a PostgreSQL for the whole run, or a SQLite file or a Redis per server and round.

cluster_pid=
cluster_input=
redis_pid=

start_postgresql() {
  say "starting a throwaway PostgreSQL"
  bin=$(postgresql_programs)
  coproc CLUSTER {
    export POSTGRES_OPTIONS="-c fsync=on -c synchronous_commit=on -c shared_buffers=256MB \
      -c max_connections=300"
    exec "$repository/tests/postgres-cluster"
  }
  cluster_pid=$CLUSTER_PID
  cluster_input=${CLUSTER[1]}
  read -r cluster_url <&"${CLUSTER[0]}" || die "PostgreSQL did not start"
}

stop_postgresql() {
  [ -n "$cluster_pid" ] || return 0
  eval "exec $cluster_input>&-"
  wait "$cluster_pid" 2>/dev/null || true
  cluster_pid=
}

psql() { "$bin/psql" -qX -v ON_ERROR_STOP=1 "$@"; }

# Starts Redis with the defaults of its package, which are those without a configuration: snapshots
# now and then, no log of changes.
start_redis() {
  local port try
  port=$(free_port)
  mkdir "$tmp/$1"
  redis-server --bind 127.0.0.1 --port "$port" --dir "$tmp/$1" >"$tmp/redis.log" 2>&1 &
  redis_pid=$!
  database_url="redis://127.0.0.1:$port"
  for ((try = 0; try < 100; try++)); do
    if redis-cli -p "$port" ping >/dev/null 2>&1; then return; fi
    kill -0 "$redis_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$tmp/redis.log" >&2
  die "Redis did not start"
}

stop_redis() {
  [ -n "$redis_pid" ] || return 0
  kill "$redis_pid" 2>/dev/null || true
  wait "$redis_pid" 2>/dev/null || true
  redis_pid=
}

# Makes an empty database NAME for the server and sets database_url.
create_database() {
  if [ "$server" = axum_redis ]; then
    start_redis "$1"
  elif [ $database = sqlite ]; then
    mkdir "$tmp/$1"
    database_url="sqlite://$tmp/$1/sessions.db"
  else
    psql -d "$cluster_url/postgres" -c "CREATE DATABASE $1"
    database_url="$cluster_url/$1"
  fi
}

drop_database() {
  if [ "$server" = axum_redis ]; then
    stop_redis
    rm -rf "${tmp:?}/$1"
  elif [ $database = sqlite ]; then
    rm -rf "${tmp:?}/$1"
  else
    psql -d "$cluster_url/postgres" -c "DROP DATABASE $1 WITH (FORCE)"
  fi
}

# The same state for all before the load: statistics taken, nothing left to be written.
settle_database() {
  [[ $database_url == postgres* ]] || return 0
  psql -d "$database_url" -c 'VACUUM ANALYZE' -c CHECKPOINT
}
