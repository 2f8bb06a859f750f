# A disk as the kernel has mounted it when it executes init, and no initramfs: a program makes a deployment the root, whose
# init prints the mounts that come out.
# unshare -mpf sh take_over.sh PROGRAM DIR CASE
set -eu
program=$1 x=$2 case=$3
. "$(dirname "$0")/physical.sh"

mount --make-rprivate /
mount -t tmpfs physical "$x"
cd "$x"
mkdir sysroot run proc dev boot sbin old
cp "$(command -v busybox)" busybox
mount --rbind /dev dev
mount -t proc proc proc
echo "quiet ostree=$link rw" > cmdline
mount --bind cmdline proc/cmdline
# What the kernel looks for.
touch sbin/init
mount --bind "$program" sbin/init

make_physical .
for dir in proc run usr/bin usr/sbin; do mkdir -p "$deployment/$dir"; done
ln -s usr/sbin "$deployment/sbin"
cp busybox "$deployment/usr/bin/busybox"
cat > "$deployment/usr/sbin/init" <<EOF
#!/usr/bin/busybox sh
b=/usr/bin/busybox
echo "process \$\$, told \$*"
\$b mount -t proc proc /proc
\$b awk '\$5 !~ "^/sysroot/(proc|dev|sbin)|^/proc" $mounts' /proc/self/mountinfo | \$b sort
\$b cat /etc/conf
for dir in / /usr /etc /sysroot /sysroot/ostree/deploy/os/var /var; do
  if (echo x > "\$dir/written") 2>/run/errors; then echo "\$dir takes it"; else echo "\$dir refuses"; fi
done
\$b ls -A /run /run/ostree
EOF
chmod 755 "$deployment/usr/sbin/init"
# Entries of boot loaders lie on this disk.
ln -s loader.1 boot/loader
case $case in
  writable) ;;
  readonly-by-repo) printf '[sysroot]\nreadonly=true\n' >> ostree/repo/config ;;
  hotfix) mkdir "$deployment/.usr-ovl-upper" "$deployment/.usr-ovl-work" ;;
  composefs)
    configure "$deployment/usr/lib" '[composefs]\nenabled=yes\n'
    make_image "$program" "$deployment" .
    rm "$deployment/usr/sbin/init"
    ;;
  signed) configure "$deployment/usr/lib" '[composefs]\nenabled=signed\n' ;;
  deployment)
    mv ostree sysroot/ostree
    ln -s sysroot/ostree ostree
    ;;
  *) exit 9 ;;
esac
pivot_root . old
exec /busybox sh -c '/busybox umount -l /old && exec /sbin/init single'
