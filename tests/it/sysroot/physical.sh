# Of `prepare_root.sh` and `take_over.sh`: a disk with a deployment.
commit=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
link=/ostree/boot.1/os/bbbb/0

# make_physical DIR: the disk is DIR, and $deployment the deployment on it.
make_physical() {
  deployment=$1/ostree/deploy/os/deploy/$commit.0
  mkdir -p "$1/ostree/deploy/os/var/lib" "$1/ostree/repo/objects" "$1/ostree/boot.1.1/os/bbbb"
  mkdir -p "$deployment/usr/etc" "$deployment/etc" "$deployment/var" "$deployment/sysroot" "$deployment/boot"
  echo default > "$deployment/usr/etc/conf"
  echo changed > "$deployment/etc/conf"
  ln -s boot.1.1 "$1/ostree/boot.1"
  ln -s "../../../deploy/os/deploy/$commit.0" "$1/ostree/boot.1.1/os/bbbb/0"
  printf '[core]\nrepo_version=1\nmode=bare\n' > "$1/ostree/repo/config"
}

# configure DIR TEXT: prepare-root.conf in DIR.
configure() {
  mkdir -p "$1/ostree"
  printf "$2" > "$1/ostree/prepare-root.conf"
}

# make_image PROGRAM TREE PHYSICAL: the deployment has the image of a commit of TREE, and the repository its objects.
make_image() {
  "$1" --repo="$x/build" init --mode=bare >&2
  "$1" --repo="$x/build" commit -b os --tree=dir="$2" >&2
  "$1" --repo="$x/build" checkout --composefs os "$deployment/.ostree.cfs" >&2
  rmdir "$3/ostree/repo/objects"
  cp -a build/objects "$3/ostree/repo/"
}

# Of /proc/self/mountinfo, what begins with a path: root, place, whether it can be written to, kind of the file system.
mounts='{
  split($6, options, ","); kind = ""
  for (i = 7; i <= NF; i++) if ($i == "-") kind = $(i + 1)
  print $4, $5, options[1], ($7 ~ "^(shared|master)" ? "shared" : "private"), kind
}'
