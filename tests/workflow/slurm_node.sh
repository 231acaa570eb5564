#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, for tests: four GPUs that are none, eight CPUs whatever
# the machine has. Needs root, and the packages slurm-wlm and munge; with "up accounting" also slurmdbd
# and mariadb-server.
#
#   slurm_node.sh up [accounting]
#   slurm_node.sh down
set -eu

etc=/etc/slurm
pids=/run/slurm-test
spool=/var/spool/slurm-test
logs=/var/log/slurm-test

wait_for() {  # wait_for SECONDS COMMAND...: until the command succeeds
  local left=$(($1 * 5))
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
      echo "slurm_node.sh: gave up waiting for: $*" >&2
      tail -n 5 "$logs"/*.log >&2 || true
      exit 1
    fi
    sleep 0.2
  done
}

up() {
  # What an interrupted test left
  if [ -d $pids ]; then down; fi
  if [ -e $etc/slurm.conf ]; then
    echo "slurm_node.sh: $etc/slurm.conf exists; this machine may belong to a cluster" >&2
    exit 1
  fi
  mkdir -p $etc $pids $spool/state $spool/node $logs
  local host memory
  host=$(hostname -s)
  memory=$(slurmd -C | sed -n 's/.*RealMemory=\([0-9]*\).*/\1/p')
  cat >$etc/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=$spool/state
SlurmdSpoolDir=$spool/node
SlurmctldPidFile=$pids/slurmctld.pid
SlurmdPidFile=$pids/slurmd.pid
SlurmctldLogFile=$logs/slurmctld.log
SlurmdLogFile=$logs/slurmd.log
# No control groups: containers seldom have any to give
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
# At once, rather than at the next of a cycle
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# Without it a job that asks for no memory takes the node
DefMemPerCPU=100
KillWait=5
MinJobAge=600
ReturnToService=2
GresTypes=gpu
# More CPUs than there are
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=$memory Gres=gpu:4 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=01:00:00 State=UP
CONF
  # Slurm numbers GPUs by their files; any will do
  echo 'Name=gpu File=/dev/tty[1-4]' >$etc/gres.conf
  install -d -o munge -g munge -m 755 /run/munge /var/log/munge
  pgrep -x munged >/dev/null || { runuser -u munge -- munged --pid-file=/run/munge/munged.pid && touch $pids/munged; }
  wait_for 10 munge -n
  if [ "${1:-}" = accounting ]; then
    accounting
  else
    printf '%s\n' AccountingStorageType=accounting_storage/none JobAcctGatherType=jobacct_gather/none >>$etc/slurm.conf
  fi
  slurmctld
  slurmd
  wait_for 20 idle
}

idle() {
  sinfo -h -o %T | grep -q idle
}

accounting() {
  cat >>$etc/slurm.conf <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
CONF
  cat >$etc/slurmdbd.conf <<CONF
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
LogFile=$logs/slurmdbd.log
PidFile=$pids/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_test
CONF
  chmod 600 $etc/slurmdbd.conf
  install -d -o mysql -g mysql /run/mysqld
  mariadbd --user=mysql --innodb-buffer-pool-size=64M --pid-file=/run/mysqld/slurm-test.pid >$logs/mariadb.log 2>&1 &
  wait_for 30 mysqladmin ping
  mysql -e "create user if not exists slurm@localhost identified by 'slurm';
    grant all on slurm_test.* to slurm@localhost;"
  slurmdbd
  wait_for 20 sacctmgr -n list cluster
  sacctmgr -i add cluster test >/dev/null || true
  sacctmgr -i add account default Description=tests Organization=tests >/dev/null || true
  sacctmgr -i add user root Account=default >/dev/null || true
}

stop() {  # stop PIDFILE: end a daemon, and wait until it has
  if [ ! -f "$1" ]; then return; fi
  local pid left=100
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null && [ "$left" -gt 0 ]; do
    left=$((left - 1))
    sleep 0.2
  done
}

down() {
  scancel --state=RUNNING --state=PENDING --user=root 2>/dev/null || true
  local name
  for name in slurmd slurmctld slurmdbd; do stop $pids/$name.pid; done
  stop /run/mysqld/slurm-test.pid
  if [ -f $pids/munged ]; then stop /run/munge/munged.pid; fi
  # A slurm.conf whose controller is down holds up every call of Slurm's commands
  rm -f $etc/slurm.conf $etc/gres.conf $etc/slurmdbd.conf
  rm -rf $pids $spool
}

case "${1:-}" in
  up) up "${2:-}" ;;
  down) down ;;
  *) echo "usage: slurm_node.sh up [accounting] | down" >&2; exit 2 ;;
esac
