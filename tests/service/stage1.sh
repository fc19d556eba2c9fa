#!/bin/bash
# stage 1: own private mount namespace, own cgroup; args: BOXDIR NAME
set -euo pipefail
T=$1 NAME=$2
mount -t tmpfs -o mode=0755 box "$T"
mkdir "$T"/{cg,up,work,root}
mount -t cgroup2 cgroup2 "$T/cg"
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir -p "$T/cg$own/$NAME"
echo $$ > "$T/cg$own/$NAME/cgroup.procs"
exec unshare --pid --fork --kill-child=KILL --uts --ipc --net --cgroup bash "$(dirname "$0")/stage2.sh" "$T" "$NAME"
