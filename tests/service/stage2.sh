#!/bin/bash
# stage 2: PID 1 of the new pid namespace: build the root, become systemd
set -euo pipefail
T=$1 NAME=$2 R=$1/root
mount -t overlay box -o "lowerdir=/,upperdir=$T/up,workdir=$T/work" "$R"
mount -t proc proc "$R/proc"
for p in sys sysrq-trigger irq bus; do [ -e "$R/proc/$p" ] && { mount --bind "$R/proc/$p" "$R/proc/$p"; mount -o remount,bind,ro "$R/proc/$p"; }; done
mount -t sysfs -o ro sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$R/dev"
mkdir "$R"/dev/{pts,shm,mqueue}
i=(null 1 3 zero 1 5 full 1 7 random 1 8 urandom 1 9 tty 5 0)
for ((k=0;k<${#i[@]};k+=3)); do mknod -m 666 "$R/dev/${i[k]}" c "${i[k+1]}" "${i[k+2]}"; done
ln -s /proc/self/fd "$R/dev/fd"; ln -s fd/0 "$R/dev/stdin"; ln -s fd/1 "$R/dev/stdout"; ln -s fd/2 "$R/dev/stderr"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$R/dev/pts"; ln -s pts/ptmx "$R/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$R/dev/shm"
mount -t tmpfs -o mode=0755 tmpfs "$R/run"; mkdir -p "$R"/run/{lock,systemd/system,systemd/unit-root,box/units/sysinit.target.wants}
mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$R/etc/systemd/system"
# only the targets and journald of the host's systemd, none of its other services
U=$R/run/box/units
cp -P /lib/systemd/system/*.target "$U/"
cp /lib/systemd/system/systemd-journald.{service,socket} /lib/systemd/system/systemd-journald-dev-log.socket "$U/"
ln -s ../systemd-journald.service "$U/sysinit.target.wants/"
mkdir -p "$R/.oldroot"; cd "$R"; pivot_root . .oldroot; umount -l /.oldroot; rmdir /.oldroot; cd /
hostname "$NAME"; ip link set lo up 2>/dev/null || true
exec setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog,-mac_admin,-mac_override \
 env -i container=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin LANG=C.UTF-8 \
 SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/transient:/run/box/units SYSTEMD_GENERATOR_PATH=/run/box/none \
 /lib/systemd/systemd --system --unit=multi-user.target --show-status=no </dev/null
