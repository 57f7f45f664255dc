#!/bin/sh
# What does the virtual machine do from boot to power-off? The first process of the User Mode Linux kernel: its root is the
# host's file tree, read-only. `/mnt` becomes the run's folder (kernel command line: ctreplay_run=PATH), where each job
# has a folder of its own and is replayed in a network namespace of its own; then the machine is switched off.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/ PYTHONDONTWRITEBYTECODE=1
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /run
mount -t devtmpfs none /dev
run=$(sed 's/.*ctreplay_run=\([^ ]*\).*/\1/' /proc/cmdline)
guest=$(sed 's/.*ctreplay_guest=\([^ ]*\).*/\1/' /proc/cmdline)
mount -t hostfs -o "$run" none /mnt
while read -r job; do
  unshare --net -- /usr/bin/python3 "$guest" "/mnt/$job" > "/mnt/$job/log" 2>&1 < /dev/null
  echo $? > "/mnt/$job/code"
done < /mnt/jobs
/usr/bin/python3 "$guest" power-off
