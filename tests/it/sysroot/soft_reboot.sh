# A system that runs a deployment, which a program prepares for a soft reboot into another one: prints what comes out.
# unshare -mpf sh soft_reboot.sh PROGRAM ROOT BOOTED IMPL
# ROOT is the disk, whose first deployment is the next one; BOOTED becomes /run/ostree-booted; IMPL is what libostree executes.
set -eu
program=$1 root=$2 booted=$3 impl=$4
. "$(dirname "$0")/physical.sh"

mount --make-rprivate /
x=$(dirname "$root")/system
mkdir -p "$x"
mount -t tmpfs system "$x"
cd "$x"
mkdir sysroot run proc usr etc tmp dev boot old programs
for dir in bin lib lib64 sbin; do ln -s usr/$dir $dir; done
ln -s sysroot/ostree ostree
mount --rbind /usr usr
mount --rbind /dev dev
mount --bind "$root" sysroot
mount -o remount,bind,ro sysroot
mount --bind "$root/boot" boot
mount -t tmpfs run run
mount -t proc proc proc
# What an initramfs leaves behind.
mkdir -p run/ostree/.private
cp "$booted" run/ostree-booted
printf '#!/bin/sh\necho "$@" >> /run/systemctl\n' > programs/systemctl
chmod 755 programs/systemctl
# With the libraries that may lie beside it.
above=$(dirname "$(dirname "$program")")
mkdir -p ".$above"
mount --rbind "$above" ".$above"
touch programs/ostree
mount --bind "$impl" programs/ostree
PATH=/programs:/usr/bin:/usr/sbin
pivot_root . old
cd /
umount -l /old
# As systemd has it.
mount --make-rshared /

show() {
  busybox awk '$5 ~ "^/run/nextroot" '"$mounts" /proc/self/mountinfo | sort
  [ ! -e /run/ostree/nextroot-booted ] || od -A n -t x1 /run/ostree/nextroot-booted
  "$program" admin status | grep soft-reboot || echo "no soft-reboot"
}
"$program" admin prepare-soft-reboot 0
show
cat /run/nextroot/usr/bin/tool /run/nextroot/etc/file
for dir in . usr etc sysroot; do
  if (echo x > /run/nextroot/$dir/written) 2>/dev/null; then echo "$dir takes it"; else echo "$dir refuses"; fi
done
# Nothing of it stays at /sysroot.
busybox awk '$5 == "/sysroot"' /proc/self/mountinfo | wc -l
"$program" admin prepare-soft-reboot --reset
"$program" admin prepare-soft-reboot --reset
show
if "$program" admin prepare-soft-reboot 1; then echo "the booted one is prepared"; fi
if "$program" admin prepare-soft-reboot 9; then echo "there is a ninth"; fi
