#!/bin/bash
# Takes the program and its configuration into an initramfs of dracut's with systemd.

check() {
    [[ -x $dracutsysrootdir/usr/lib/ostree/ostree-prepare-root ]]
}

depends() {
    echo systemd
}

installkernel() {
    instmods erofs overlay loop
}

install() {
    local file
    # Not the link, which leads elsewhere.
    inst_binary /usr/bin/ostree-rs /usr/lib/ostree/ostree-prepare-root
    for file in /usr/lib/ostree/prepare-root.conf /etc/ostree/prepare-root.conf /etc/ostree/initramfs-root-binding.key; do
        if [[ -e $dracutsysrootdir$file ]]; then
            inst_simple "$file"
        fi
    done
    inst_simple /usr/lib/systemd/system/ostree-prepare-root.service
    mkdir -p "$initdir/usr/lib/systemd/system/initrd-root-fs.target.wants"
    ln -sf ../ostree-prepare-root.service \
        "$initdir/usr/lib/systemd/system/initrd-root-fs.target.wants/ostree-prepare-root.service"
}
