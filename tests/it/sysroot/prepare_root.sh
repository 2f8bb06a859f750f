# A root as an initramfs sees it, in which a program makes a deployment the root; prints the mounts that come out.
# unshare -m sh prepare_root.sh PROGRAM DIR CASE
set -eu
program=$1 x=$2 case=$3
commit=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
link=/ostree/boot.1/os/bbbb/0

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
deployment=sysroot/ostree/deploy/os/deploy/$commit.0
mkdir -p sysroot/ostree/deploy/os/var/lib sysroot/ostree/repo/objects sysroot/ostree/boot.1.1/os/bbbb
mkdir -p $deployment/usr/etc $deployment/etc $deployment/var $deployment/sysroot $deployment/boot
echo default > $deployment/usr/etc/conf
echo changed > $deployment/etc/conf
ln -s boot.1.1 sysroot/ostree/boot.1
ln -s ../../../deploy/os/deploy/$commit.0 sysroot/ostree/boot.1.1/os/bbbb/0
printf '[core]\nrepo_version=1\nmode=bare\n' > sysroot/ostree/repo/config

configure() {
  mkdir -p "$1/ostree"
  printf "$2" > "$1/ostree/prepare-root.conf"
}
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
    "$program" --repo="$x/build" init --mode=bare >&2
    mkdir tree
    mkdir tree/usr tree/usr/etc tree/usr/bin
    echo in-image > tree/usr/bin/hello
    head -c 100000 /dev/zero > tree/usr/bin/large
    "$program" --repo="$x/build" commit -b os --tree=dir=tree >&2
    "$program" --repo="$x/build" checkout --composefs os $deployment/.ostree.cfs >&2
    rmdir sysroot/ostree/repo/objects
    cp -a build/objects sysroot/ostree/repo/
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

# Root, place, whether it can be written to, kind of the file system.
mounts() {
  chroot . /bin/cat /proc/self/mountinfo | awk '$5 ~ "^/sysroot" {
    split($6, options, ","); kind = ""
    for (i = 7; i <= NF; i++) if ($i == "-") kind = $(i + 1)
    print $4, $5, options[1], ($7 ~ "^(shared|master)" ? "shared" : "private"), kind
  }' | sort
}
mounts
[ ! -e sysroot.tmp ]
chroot . /bin/cat /sysroot/etc/conf
try() { if (echo x > "sysroot/$1/written") 2>/dev/null; then echo "$1 takes it"; else echo "$1 refuses"; fi; }
for dir in . usr etc sysroot sysroot/ostree/deploy/os/var var; do try $dir; done
[ ! -e sysroot/usr/bin/hello ] || cat sysroot/usr/bin/hello
[ ! -e sysroot/usr/bin/large ] || wc -c < sysroot/usr/bin/large
