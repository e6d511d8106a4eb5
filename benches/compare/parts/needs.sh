# What `run` needs: programs of the system, and the servers, which it builds.

# Where PostgreSQL's programs are; the same choice as tests/postgres-cluster makes.
postgresql_programs() {
  local bin
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1) || true
  [ -n "$bin" ] || bin=$(dirname "$(command -v initdb)" 2>/dev/null) || true
  [ -x "$bin/initdb" ] && echo "$bin"
}

has() { command -v "$1" >/dev/null; }

install_missing() {
  local packages=()
  has cargo || die "cargo is missing: install Rust first"
  has wrk || packages+=(wrk)
  has curl || packages+=(curl)
  has cc || packages+=(gcc)
  has make || packages+=(make)
  # OpenSSL's build, of which the application's and this library's are a part.
  has perl || packages+=(perl)
  if [ $database = postgresql ] && ! postgresql_programs >/dev/null; then
    packages+=(postgresql)
  fi
  if selected axum_redis; then
    has redis-server || packages+=(redis-server)
  fi
  if uses_node; then
    has node || packages+=(nodejs)
    has npm || packages+=(npm)
  fi
  [ ${#packages[@]} -gt 0 ] || return 0
  has apt-get || die "missing, and no apt-get to install them: ${packages[*]}"
  say "installing with apt-get: ${packages[*]}"
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${packages[@]}" >&2
}

# Debian 12 has an older Node.
leave_out_unusable() {
  selected express_prisma || return 0
  if node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'; then
    return
  fi
  say "leaving out express_prisma: Prisma 7 needs Node 20.19 or newer, not $(node --version)"
  local name kept=()
  for name in "${servers[@]}"; do
    [ "$name" = express_prisma ] || kept+=("$name")
  done
  [ ${#kept[@]} -gt 0 ] || die "no server is left"
  servers=("${kept[@]}")
}

# Builds a package of this workspace.
build_package() {
  say "building $1"
  # One by one, so that each has only the features that it asks for.
  cargo build --quiet --locked --release --manifest-path "$here/Cargo.toml" \
    --target-dir "$here/target" --package "$1" >&2
}

# Builds the program of the repository, as its users do.
build_application() {
  say "building application"
  cargo build --quiet --locked --release --manifest-path "$repository/Cargo.toml" \
    --target-dir "$here/target/application" --package rocket_diesel_sessions_app >&2
}

build_express() {
  say "installing the packages of express/"
  (
    cd "$here/express"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    if selected express_prisma; then
      # Generating needs no engine, but Prisma would download one before unless it is named.
      PRISMA_SCHEMA_ENGINE_BINARY=$(type -P true) CHECKPOINT_DISABLE=1 \
        PRISMA_HIDE_UPDATE_MESSAGE=1 \
        node_modules/.bin/prisma generate --schema schema.prisma >/dev/null
    fi
  )
}

build_servers() {
  build_package bench-report
  ! selected application || build_application
  ! selected ours || build_package ours
  ! selected rocket_flex || build_package rocket_flex
  [[ " ${servers[*]} " != *" axum_"* ]] || build_package axum_tower
  ! uses_node || build_express
}
