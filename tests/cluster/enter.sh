#!/bin/sh
# enter.sh ROOT FOLDER… -- COMMAND…: COMMAND in ROOT, with these folders of the machine at their own places in it.
# Runs in a mount namespace of its own, which takes all mounts with it when COMMAND ends.
set -eu
root=$1
shift
# A mount point of its own, so that COMMAND can enter another root from there.
mount --bind "$root" "$root"
for system in /dev /proc /sys; do mount --rbind "$system" "$root$system"; done
# Names are resolved as outside.
for file in /etc/resolv.conf /etc/hosts; do
  if [ -e "$file" ]; then touch "$root$file" && mount --bind "$file" "$root$file"; fi
done
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  mount --rbind "$1" "$root$1"
  shift
done
shift
cd /
exec chroot "$root" "$@"
