#!/usr/bin/env bash
# A real S3 server on loopback from Debian packages alone: OpenStack Swift with its s3api (no docker, no systemd).
# It checks signatures, expiry and secrets, keeps objects on disk across restarts, and does multipart uploads.
# Prints shell exports on stdout.
#
#   eval "$(engines/s3-up.sh)"       # AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...
#   engines/s3-up.sh --stop [--purge]
#
# Knobs: S3_DEV_DIR ($TMPDIR/trainhub-s3), S3_PORT (8480; +1..+4 are the inner servers), S3_BUCKET (trainhub)
set -euo pipefail
DIR=${S3_DEV_DIR:-${TMPDIR:-/tmp}/trainhub-s3}; P=${S3_PORT:-8480}; BUCKET=${S3_BUCKET:-trainhub}
KEY=trainhub:dev; SECRET=devsecret          # tempauth: user_<account>_<user> = <secret>
say() { echo "s3-up: $*" >&2; }
NAMES="object container account proxy"
alive() { [ -s "$DIR/run/$1.pid" ] && kill -0 "$(cat "$DIR/run/$1.pid")" 2>/dev/null; }
stop_all() {
  for n in $NAMES memcached; do
    alive "$n" || { rm -f "$DIR/run/$n.pid"; continue; }
    p=$(cat "$DIR/run/$n.pid")
    if grep -qa -e "swift-$n" -e memcached "/proc/$p/cmdline" 2>/dev/null; then
      kill "$p" 2>/dev/null || true
      for _ in $(seq 50); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
    fi
    rm -f "$DIR/run/$n.pid"
  done
}
out() {
  echo "export AWS_ENDPOINT_URL=http://127.0.0.1:$P AWS_ENDPOINT_URL_S3=http://127.0.0.1:$P"
  echo "export AWS_ACCESS_KEY_ID=$KEY AWS_SECRET_ACCESS_KEY=$SECRET AWS_DEFAULT_REGION=us-east-1 S3_BUCKET=$BUCKET"
}
if [ "${1:-}" = --stop ]; then stop_all; [ "${2:-}" = --purge ] && rm -rf "$DIR"; exit 0; fi
up() { curl -s -o /dev/null -m 3 "http://127.0.0.1:$P/healthcheck"; }
if alive proxy && up; then say "already up"; out; exit 0; fi

miss=()
for c in swift-proxy-server:swift-proxy swift-object-server:swift-object swift-container-server:swift-container swift-account-server:swift-account memcached:memcached curl:curl; do
  command -v "${c%%:*}" >/dev/null || miss+=("${c##*:}")
done
if [ ${#miss[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { say "missing packages: ${miss[*]} (install them as root)"; exit 1; }
  say "installing ${miss[*]}"; apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${miss[@]}" >/dev/null 2>&1
fi
mkdir -p "$DIR"/{run,log,etc,dev/d1,cache}; DIR=$(cd "$DIR" && pwd)
U=$(id -un); E=$DIR/etc
stop_all

common() { printf 'bind_ip = 127.0.0.1\nbind_port = %s\nworkers = %s\nuser = %s\nswift_dir = %s\nlog_name = %s\nlog_level = WARNING\n' "$1" "$2" "$U" "$E" "$3"; }
for n in object:1 container:2 account:3; do
  s=${n%%:*}; o=${n##*:}
  { echo "[DEFAULT]"; common $((P+o)) 0 "$s"
    echo "devices = $DIR/dev"; echo "mount_check = false"; echo "disable_fallocate = true"
    echo "[pipeline:main]"; echo "pipeline = $s-server"
    echo "[app:$s-server]"; echo "use = egg:swift#$s"; } >"$E/$s-server.conf"
done
cat >"$E/proxy-server.conf" <<CONF
[DEFAULT]
$(common "$P" 0 proxy)
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_trainhub_dev = $SECRET .admin .reseller_admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
auth_pipeline_check = true
# Amazon allows 10000 parts; s3api's own default is 1000
max_upload_part_num = 10000
s3_acl = false
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$((P+4))
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
[filter:dlo]
use = egg:swift#dlo
[filter:symlink]
use = egg:swift#symlink
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
CONF
[ -s "$E/swift.conf" ] || cat >"$E/swift.conf" <<CONF
[swift-hash]
swift_hash_path_prefix = trainhub
swift_hash_path_suffix = dev
[storage-policy:0]
name = Policy-0
default = yes
CONF
for n in object:1 container:2 account:3; do
  s=${n%%:*}; o=${n##*:}
  [ -s "$E/$s.ring.gz" ] || (cd "$E"; rm -f "$s.builder"
    { swift-ring-builder "$s.builder" create 4 1 1; swift-ring-builder "$s.builder" add "r1z1-127.0.0.1:$((P+o))/d1" 1; swift-ring-builder "$s.builder" rebalance; } >"$DIR/log/ring-$s.log" 2>&1)
done
# setsid + closed descriptors: they outlive the caller and hold none of its pipes
bg() { local n=$1; shift; ( exec setsid "$@" </dev/null >>"$DIR/log/$n.log" 2>&1 & echo $! >"$DIR/run/$n.pid" ); }
bg memcached memcached -u "$U" -l 127.0.0.1 -p $((P+4)) -U 0 -m 32
for n in $NAMES; do bg "$n" env PYTHONUNBUFFERED=1 "swift-$n-server" "$E/$n-server.conf" -v; done
for _ in $(seq 600); do up && break; sleep 0.2; done  # a loaded machine takes a while
up || { say "the proxy did not start"; tail -n 20 "$DIR"/log/*.log >&2; exit 1; }
# the bucket, by Swift's own API (curl's --aws-sigv4 cannot take the ':' in this access key)
make_bucket() {
  local H T SU
  H=$(curl -s -m 20 -D - -o /dev/null -H "X-Auth-User: $KEY" -H "X-Auth-Key: $SECRET" "http://127.0.0.1:$P/auth/v1.0" | tr -d '\r') || return 1
  T=$(sed -n 's/^X-Auth-Token: //Ip' <<<"$H"); SU=$(sed -n 's/^X-Storage-Url: //Ip' <<<"$H")
  curl -sf -m 20 -o /dev/null -X PUT -H "X-Auth-Token: $T" "$SU/$BUCKET"
}
# On a busy machine the inner servers answer later than the proxy.
for _ in $(seq 60); do if make_bucket; then made=1; break; fi; sleep 1; done
[ -n "${made:-}" ] || { say "could not make bucket $BUCKET"; tail -n 20 "$DIR"/log/*.log >&2; exit 1; }
say "up on port $P, bucket $BUCKET"
out
