# A root as an initramfs sees it, in which a program makes a deployment the root; prints the mounts that come out.
# unshare -m sh prepare_root.sh PROGRAM DIR CASE
set -eu
program=$1 x=$2 case=$3
. "$(dirname "$0")/physical.sh"

mount --make-rprivate /
mount -t tmpfs initramfs "$x"
cd "$x"
mkdir sysroot run proc usr program etc tmp dev
for dir in bin lib lib64 sbin; do ln -s usr/$dir $dir; done
mount --rbind /usr usr
mount -t proc proc proc
mount --rbind /dev dev
echo "quiet ostree=$link rw" > cmdline
mount --bind cmdline proc/cmdline
# Its name says what it does.
touch program/ostree-prepare-root
mount --bind "$program" program/ostree-prepare-root

mount -t tmpfs physical sysroot
make_physical sysroot
case $case in
  writable) ;;
  readonly-by-repo) printf '[sysroot]\nreadonly=true\n' >> sysroot/ostree/repo/config ;;
  readonly) configure etc '[sysroot]\nreadonly=true\n' ;;
  hotfix) mkdir $deployment/.usr-ovl-upper $deployment/.usr-ovl-work ;;
  var-by-initramfs)
    mkdir -p run/ostree
    touch run/ostree/initramfs-mount-var
    ;;
  etc-transient) configure etc '[sysroot]\nreadonly=true\n[etc]\ntransient=true\n' ;;
  composefs | composefs-transient | composefs-off)
    configure etc '[composefs]\nenabled=yes\n'
    [ $case != composefs-transient ] || printf '[root]\ntransient=true\n' >> etc/ostree/prepare-root.conf
    [ $case != composefs-off ] || echo "ostree=$link ostree.prepare-root.composefs=0" > cmdline
    mkdir tree
    mkdir tree/usr tree/usr/etc tree/usr/bin
    echo in-image > tree/usr/bin/hello
    head -c 100000 /dev/zero > tree/usr/bin/large
    make_image "$program" tree sysroot
    ;;
  no-image) configure etc '[composefs]\nenabled=yes\n' ;;
  signed) configure etc '[composefs]\nenabled=signed\n' ;;
  transient-without) configure etc '[root]\ntransient=true\n' ;;
  not-a-link)
    rm sysroot/ostree/boot.1.1/os/bbbb/0
    mkdir sysroot/ostree/boot.1.1/os/bbbb/0
    ;;
  *) exit 9 ;;
esac
chroot . /program/ostree-prepare-root /sysroot > messages

chroot . /bin/cat /proc/self/mountinfo | awk '$5 ~ "^/sysroot" '"$mounts" | sort
[ ! -e sysroot.tmp ]
chroot . /bin/cat /sysroot/etc/conf
try() { if (echo x > "sysroot/$1/written") 2>/dev/null; then echo "$1 takes it"; else echo "$1 refuses"; fi; }
for dir in . usr etc sysroot sysroot/ostree/deploy/os/var var; do try $dir; done
[ ! -e sysroot/usr/bin/hello ] || cat sysroot/usr/bin/hello
[ ! -e sysroot/usr/bin/large ] || wc -c < sysroot/usr/bin/large
