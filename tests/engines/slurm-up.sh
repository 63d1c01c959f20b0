#!/usr/bin/env bash
# Bring up a real Slurm on loopback: 1..8 pretend nodes on this one machine, no systemd, no root needed
# once the packages are there.  Idempotent: a cluster that already answers is left as it is.
#
#   engines/slurm-up.sh [NODES]            # default 2 nodes
#   . "${SLURM_DEV_DIR:-${TMPDIR:-/tmp}/trainhub-slurm}/env"   # exports SLURM_CONF for sbatch/squeue/scancel
#
# Knobs (environment):
#   SLURM_DEV_DIR      state folder                       ($TMPDIR/trainhub-slurm)
#   SLURM_NODES        number of pretend nodes            (2; first argument wins)
#   SLURM_CPUS         CPUs each node claims              (2)
#   SLURM_GPUS         fake GPUs each node claims         (2; 0 = no GRES at all)
#   SLURM_KILLWAIT     s between SIGTERM and SIGKILL      (5;  Slurm's own default is 30)
#   SLURM_MINJOBAGE    s an ended job stays in scontrol   (60; Slurm's own default is 300)
#   SLURM_NODE_TIMEOUT s before a silent slurmd is DOWN   (15; Slurm's own default is 300)
#   SLURM_BASE_PORT    slurmctld port; nodes use +1..+N   (6817 + 11000)
#   SLURM_DBD          1 = also MariaDB + slurmdbd, so that sacct works   (0)
set -euo pipefail
DIR=${SLURM_DEV_DIR:-${TMPDIR:-/tmp}/trainhub-slurm}
N=${1:-${SLURM_NODES:-2}}
CPUS=${SLURM_CPUS:-2}; GPUS=${SLURM_GPUS:-2}
KILLWAIT=${SLURM_KILLWAIT:-5}; MINAGE=${SLURM_MINJOBAGE:-60}; NTO=${SLURM_NODE_TIMEOUT:-15}
PORT=${SLURM_BASE_PORT:-17817}; DBD=${SLURM_DBD:-0}
ME=$(id -un)
say() { echo "slurm-up: $*" >&2; }

need=()
for p in slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge; do
  PATH=$PATH:/usr/sbin command -v "${p%%:*}" >/dev/null || need+=("${p##*:}")
done
if [ "$DBD" = 1 ]; then
  PATH=$PATH:/usr/sbin command -v slurmdbd >/dev/null || need+=(slurmdbd slurm-wlm-mysql-plugin)
  PATH=$PATH:/usr/sbin command -v mariadbd >/dev/null || need+=(mariadb-server)
fi
if [ ${#need[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { say "missing packages: ${need[*]} (install them as root)"; exit 1; }
  say "installing ${need[*]}"
  apt-get update -qq >/dev/null
  # --no-install-recommends: 'slurm-wlm' itself would add the -dev plugins, man-db triggers and mail tools
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi
export PATH=$PATH:/usr/sbin

mkdir -p "$DIR" && DIR=$(cd "$DIR" && pwd)
export SLURM_CONF=$DIR/slurm.conf
mkdir -p "$DIR"/{run,log,ctld,munge} && chmod 755 "$DIR" "$DIR"/run "$DIR"/log && chmod 711 "$DIR"/munge
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
all_idle() { [ "$(timeout 5 sinfo -h -N -o '%N %t' 2>/dev/null | awk '$2=="idle"||$2=="mix"||$2=="alloc"' | sort -u | wc -l)" -ge "$N" ]; }

if alive "$DIR/run/slurmctld.pid" && all_idle; then say "already up"; sinfo -N -l; echo "export SLURM_CONF=$SLURM_CONF"; exit 0; fi

# --- munge: own key and own socket, so that a system munged (if any) is not touched ------------------
if ! alive "$DIR/run/munged.pid"; then
  [ -s "$DIR/munge/key" ] || { (umask 077; head -c 128 /dev/urandom >"$DIR/munge/key"); }
  chmod 600 "$DIR/munge/key"
  rm -f "$DIR/munge/socket" "$DIR/munge/socket.lock"
  # --force: it may run as root and under /tmp, which munged otherwise refuses
  munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/socket" --num-threads=2 \
         --pid-file="$DIR/run/munged.pid" --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge/seed" </dev/null >>"$DIR/log/munged.err" 2>>"$DIR/log/munged.err"
fi

# --- config --------------------------------------------------------------------------------------
HOST=$(hostname -s)
MEM=$(( $(awk '/MemTotal/{print int($2/1024)}' /proc/meminfo) * 9 / 10 / N ))
ACCT="AccountingStorageType=accounting_storage/none"
if [ "$DBD" = 1 ]; then
  ACCT="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT+100))
AccountingStoragePass=$DIR/munge/socket
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5"
fi
GRES=""; GRESTYPES=""
if [ "$GPUS" -gt 0 ]; then GRES="Gres=gpu:$GPUS"; GRESTYPES="GresTypes=gpu"; fi
cat >"$SLURM_CONF" <<CONF
ClusterName=trainhubdev
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=$ME
SlurmdUser=$ME
SlurmctldPort=$PORT
AuthType=auth/munge
AuthInfo=socket=$DIR/munge/socket
CredType=cred/munge
StateSaveLocation=$DIR/ctld
SlurmdSpoolDir=$DIR/spool-%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd-%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
# no cgroup, no systemd: track processes by walking /proc
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
# batch_sched_delay=0: a job starts at once, not after the usual 3 s
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
KillWait=$KILLWAIT
MinJobAge=$MINAGE
SlurmctldTimeout=15
SlurmdTimeout=$NTO
InactiveLimit=0
Waittime=0
CompleteWait=0
# every node is this one machine: believe the config, not the hardware
SlurmdParameters=config_overrides
JobCompType=jobcomp/filetxt
JobCompLoc=$DIR/log/jobcomp.log
$ACCT
$GRESTYPES
CONF
for i in $(seq 1 "$N"); do
  echo "NodeName=n$i NodeHostName=n$i NodeAddr=127.0.0.1 Port=$((PORT+i)) CPUs=$CPUS RealMemory=$MEM $GRES State=UNKNOWN" >>"$SLURM_CONF"
done
echo "PartitionName=main Nodes=n[1-$N] Default=YES MaxTime=INFINITE State=UP" >>"$SLURM_CONF"
# fake GPUs: clones of /dev/null stand for the devices, so that Slurm hands out distinct indices and sets
# CUDA_VISIBLE_DEVICES / SLURM_JOB_GPUS.  Where device nodes cannot be made (not root), plain files are counted all
# the same, but those variables stay unset.  (Count= without File= makes the node INVAL in 22.05.)
: >"$DIR/gres.conf"
if [ "$GPUS" -gt 0 ]; then
  for g in $(seq 0 $((GPUS-1))); do
    f=$DIR/run/nvidia$g
    [ -c "$f" ] || { rm -f "$f"; mknod -m 666 "$f" c 1 3 2>/dev/null; } || { : >"$f"; say "no device nodes here: GPUs are counted, CUDA_VISIBLE_DEVICES stays unset"; }
  done
  echo "NodeName=n[1-$N] Name=gpu File=$DIR/run/nvidia[0-$((GPUS-1))]" >"$DIR/gres.conf"
fi
echo "CgroupPlugin=cgroup/v1" >"$DIR/cgroup.conf"
touch "$DIR/log/jobcomp.log"
echo "export SLURM_CONF=$SLURM_CONF" >"$DIR/env"
echo "export PATH=\$PATH:/usr/sbin" >>"$DIR/env"

# --- slurmdbd (optional) --------------------------------------------------------------------------
if [ "$DBD" = 1 ]; then
  MY=$DIR/mysql
  if ! alive "$DIR/run/mariadbd.pid"; then
    MYUSER=$([ "$(id -u)" = 0 ] && echo mysql || echo "$ME")
    if [ ! -d "$MY/mysql" ]; then
      mkdir -p "$MY"; [ "$(id -u)" != 0 ] || chown mysql "$MY"
      mariadb-install-db --no-defaults --user="$MYUSER" --datadir="$MY" --auth-root-authentication-method=normal >"$DIR/log/mariadb-install.log" 2>&1
    fi
    (setsid mariadbd --no-defaults --user="$MYUSER" --datadir="$MY" --socket="$MY/sock" --bind-address=127.0.0.1 --port=$((PORT+101)) \
       --pid-file="$MY/pid" --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 </dev/null >"$DIR/log/mariadbd.log" 2>&1 & echo $! >"$DIR/run/mariadbd.pid")
    for _ in $(seq 60); do mariadb -uroot -S "$MY/sock" -e 'select 1' >/dev/null 2>&1 && break; sleep 0.5; done
    mariadb -uroot -S "$MY/sock" -e "create database if not exists slurm_acct_db; create user if not exists slurm@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to slurm@'127.0.0.1';"
  fi
  (umask 077; cat >"$DIR/slurmdbd.conf" <<CONF
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT+100))
SlurmUser=$ME
AuthType=auth/munge
AuthInfo=socket=$DIR/munge/socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT+101))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
PidFile=$DIR/run/slurmdbd.pid
LogFile=$DIR/log/slurmdbd.log
CONF
  )
  chmod 600 "$DIR/slurmdbd.conf"
  if ! alive "$DIR/run/slurmdbd.pid"; then slurmdbd </dev/null >>"$DIR/log/start.log" 2>&1; fi
  for _ in $(seq 60); do timeout 5 sacctmgr -n list cluster >/dev/null 2>&1 && break; alive "$DIR/run/slurmdbd.pid" || { say "slurmdbd ended:"; tail -n 3 "$DIR/log/slurmdbd.log" >&2; exit 1; }; sleep 0.5; done
  sacctmgr -i add cluster trainhubdev >/dev/null 2>&1 || true
fi

# --- daemons ----------------------------------------------------------------------------------------
# </dev/null and the log redirections keep the daemons from holding a caller's pipe open
alive "$DIR/run/slurmctld.pid" || slurmctld -f "$SLURM_CONF" </dev/null >>"$DIR/log/start.log" 2>&1
for i in $(seq 1 "$N"); do
  mkdir -p "$DIR/spool-n$i"
  alive "$DIR/run/slurmd-n$i.pid" || slurmd -f "$SLURM_CONF" -N "n$i" </dev/null >>"$DIR/log/start.log" 2>&1
done
for t in $(seq 60); do
  if all_idle; then say "up: $N node(s)"; sinfo -N -l; echo "export SLURM_CONF=$SLURM_CONF"; exit 0; fi
  if [ "$t" -gt 6 ]; then
    alive "$DIR/run/slurmctld.pid" || { say "slurmctld ended:"; grep -E 'fatal|error' "$DIR/log/slurmctld.log" | tail -n 5 >&2; exit 1; }
    timeout 5 scontrol update nodename="n[1-$N]" state=resume >/dev/null 2>&1 || true   # a node that was DOWN before
  fi
  sleep 0.5
done
say "nodes did not become idle; see $DIR/log"; timeout 5 sinfo -N -l || true; tail -n 20 "$DIR"/log/slurm*.log >&2 || true
exit 1
