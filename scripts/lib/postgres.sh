# shellcheck shell=bash disable=SC2154 # $secret and the ports come from scripts/cluster
# The cluster's Postgres, for scripts/cluster: a data folder of its own, on loopback, with a password.

# Sets postgres_bin, postgres_dir, and as_postgres: what to put before a command so that it runs as the right user.
find_postgres() {
  local found user=nobody
  found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)
  found=${found:-$(type -P initdb || true)}
  [[ -n $found ]] || fail 'Postgres is not installed (scripts/install-test-tools installs it on Debian)'
  postgres_bin=$(dirname "$found")

  # Postgres refuses to be root: it becomes the user of Debian's package, or else nobody.
  as_postgres=()
  if ((EUID == 0)); then
    if id -u postgres >/dev/null 2>&1; then user=postgres; fi
    as_postgres=(env --chdir=/ setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
  else
    user=$(id -un)
  fi

  postgres_dir=$CLUSTER_DIR/postgres
  if ! "${as_postgres[@]}" test -x "$CLUSTER_DIR"; then
    # That user can't get there: a checkout below /root, say. The name is made from ours, so that the next `up` finds it again.
    postgres_dir=/var/tmp/tertulia-$(cksum <<<"$CLUSTER_DIR" | cut -d ' ' -f 1)
  fi
  if mkdir "$postgres_dir" 2>/dev/null; then
    chmod 700 "$postgres_dir"
    if ((EUID == 0)); then chown "$user" "$postgres_dir"; fi
  fi
  # Where everybody may write, somebody else may have been first.
  [[ ! -L $postgres_dir && $(stat -c %U "$postgres_dir") == "$user" ]] || fail "$postgres_dir does not belong to $user"
}

make_database_folder() {
  say "making a database in $1"
  # A password even on loopback: a database's superuser can do whatever its system user can. It comes by a file, because
  # every user of the machine sees a command's arguments.
  # shellcheck disable=SC2016
  "${as_postgres[@]}" sh -c 'umask 077 && cat >"$1"' sh "$postgres_dir/password" <<<"$secret"
  if ! "${as_postgres[@]}" "$postgres_bin/initdb" --pgdata="$1" --username=tertulia --pwfile="$postgres_dir/password" \
    --auth=scram-sha-256 --encoding=UTF8 --no-locale >"$CLUSTER_DIR/log/initdb.log" 2>&1; then
    cat "$CLUSTER_DIR/log/initdb.log" >&2
    fail 'initdb failed'
  fi
  rm -f "$postgres_dir/password"
}

up_postgres() {
  local data=$postgres_dir/data sockets=$postgres_dir to=(-h 127.0.0.1 -p "$POSTGRES_PORT" -U tertulia)
  # A socket's path has room for 107 bytes. The loopback port is always there.
  if ((${#sockets} > 85)); then sockets=''; fi

  # initdb removes what it made when it fails, so a folder with a version in it is whole.
  if [[ ! -f $data/PG_VERSION ]]; then make_database_folder "$data"; fi

  # fsync and synchronous_commit are said aloud: nodes refuse to acknowledge without them. The connections are enough for
  # eight nodes with their lanes and pools, and for a curious person.
  start postgres "${as_postgres[@]}" "$postgres_bin/postgres" -D "$data" -h 127.0.0.1 -p "$POSTGRES_PORT" -k "$sockets" \
    -c fsync=on -c synchronous_commit=on -c max_connections=300
  until_true 60 postgres "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$POSTGRES_PORT" -d postgres

  if ! PGPASSWORD=$secret "$postgres_bin/psql" "${to[@]}" -d postgres -Atc 'SELECT datname FROM pg_database' | grep -qx tertulia; then
    PGPASSWORD=$secret "$postgres_bin/createdb" "${to[@]}" tertulia
  fi
}
