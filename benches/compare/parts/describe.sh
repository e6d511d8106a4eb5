# The header of the report: on what and with which versions it was measured.

# The versions of NAME in Cargo.lock.
locked() {
  awk -v name="\"$1\"" '
    $1 == "name" { found = $3 == name }
    $1 == "version" && found { gsub(/"/, "", $3); print $3 }' "$here/Cargo.lock" | paste -s -d +
}

# The version of an installed package of express/.
installed() { node -p 'require(process.argv[1]).version' "$here/express/node_modules/$1/package.json"; }

# Prints words separated by commas, in lines below a LABEL.
list() {
  local label=$1
  shift
  sed 's/,$//' <<<"$*" | fold -s -w 88 | sed "1s/^/$label/; 2,\$s/^/          /; s/ *\$//"
}

describe() {
  local name crates=() packages=()
  echo "date      $(date -u '+%Y-%m-%d %H:%M UTC')"
  echo "commit    $(git -C "$repository" describe --always --dirty 2>/dev/null || echo unknown)"
  echo "machine   $(uname -m), $(nproc) cores, $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' \
    /proc/meminfo) GiB of memory, data on $(df --output=fstype "$tmp" | tail -n 1)"
  echo "load      $rounds rounds of $seconds s, $sessions sessions"
  echo "rustc     $(rustc --version | cut -d ' ' -f 2)"
  for name in rocket rocket_diesel_sessions diesel rocket_flex_session axum tower-sessions \
    tower-sessions-sqlx-store tower-sessions-moka-store tower-sessions-redis-store sqlx fred \
    tokio libsqlite3-sys; do
    crates+=("$name $(locked $name),")
  done
  list 'crates    ' "${crates[@]}"
  if [ $database = postgresql ]; then
    echo "database  PostgreSQL $("$bin/postgres" --version | cut -d ' ' -f 3)," \
      "fsync and synchronous_commit on"
  else
    echo "database  SQLite, WAL, synchronous FULL"
  fi
  if selected axum_redis; then
    echo "redis     $(redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/')," \
      "default durability: snapshots, no append-only file"
  fi
  uses_node || return 0
  for name in express express-session connect-pg-simple pg prisma @quixo3/prisma-session-store; do
    packages+=("$name $(installed $name),")
  done
  echo "node      $(node --version)"
  list 'packages  ' "${packages[@]}"
}
