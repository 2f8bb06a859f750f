//! Examples of every verb, each with what it does.

/// What is done, and the command; nothing if it is the next step of the example before.
pub(crate) type Example = (&'static str, &'static str);

/// The examples of the page with this name.
pub(super) fn of(page: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(of, _)| *of == page).map_or(&[], |(_, examples)| examples)
}

/// Every example.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static (&'static str, &'static [Example])> {
    EXAMPLES.iter()
}

#[rustfmt::skip]
const EXAMPLES: &[(&str, &[Example])] = &[
    ("ostree-rs", &[
        ("Make a repository, and a commit of a directory in it:", "ostree-rs --repo=repo init --mode=archive"),
        ("", "ostree-rs --repo=repo commit -b exampleos/stable --tree=dir=rootfs"),
        ("Ship it as a container image, and get it back:", "ostree-rs container build --repo=repo --ref=exampleos/stable --push quay.io/exampleos/os:stable"),
        ("", "ostree-rs container pull --repo=other --ref=exampleos/stable --gpg-keyring=key.asc quay.io/exampleos/os:stable"),
    ]),
    ("ostree-rs-admin-boot-complete", &[(
        "As the service ostree-boot-complete does once a boot has succeeded:",
        "ostree-rs admin boot-complete",
    )]),
    ("ostree-rs-admin-config-diff", &[("What was changed in /etc of the running system:", "ostree-rs admin config-diff")]),
    ("ostree-rs-admin-cleanup", &[("Delete what no deployment needs:", "ostree-rs admin cleanup")]),
    ("ostree-rs-admin-deploy", &[
        ("Deploy a ref, which was pulled before:", "ostree-rs admin deploy exampleos/stable"),
        ("The first deployment on a mounted disk:", "ostree-rs admin deploy --sysroot=/mnt --os=exampleos --karg=root=LABEL=root exampleos/stable"),
    ]),
    ("ostree-rs-admin-lock-finalization", &[("Let a staged deployment be finished when the machine shuts down:", "ostree-rs admin lock-finalization --unlock")]),
    ("ostree-rs-admin-pin", &[("Keep the deployment that runs, whatever comes:", "ostree-rs admin pin booted")]),
    ("ostree-rs-admin-post-copy", &[("After the files of a system were copied to a mounted disk:", "ostree-rs admin post-copy --sysroot=/mnt")]),
    ("ostree-rs-admin-prepare-soft-reboot", &[
        ("After an upgrade that keeps the kernel, restart everything else:", "ostree-rs admin prepare-soft-reboot --reboot 0"),
        ("Leave it at what runs:", "ostree-rs admin prepare-soft-reboot --reset"),
    ]),
    ("ostree-rs-admin-set-default", &[("Go back to the deployment before:", "ostree-rs admin set-default 1")]),
    ("ostree-rs-admin-set-origin", &[("Take upgrades from another remote:", "ostree-rs admin set-origin example https://example.org/repo exampleos/stable")]),
    ("ostree-rs-admin-undeploy", &[("Delete the second deployment:", "ostree-rs admin undeploy 1")]),
    ("ostree-rs-admin-init-fs", &[("Make the directories of a new system on a mounted disk:", "ostree-rs admin init-fs --modern /mnt")]),
    ("ostree-rs-admin-instutil-selinux-ensure-labeled", &[(
        "Label what an installer has put into the deployment on a mounted disk:",
        "ostree-rs admin instutil selinux-ensure-labeled --sysroot=/mnt",
    )]),
    ("ostree-rs-admin-instutil-set-kargs", &[(
        "Let the deployment on a mounted disk be booted with one argument more:",
        "ostree-rs admin instutil set-kargs --sysroot=/mnt --merge --append=console=ttyS0",
    )]),
    ("ostree-rs-admin-kargs-edit-in-place", &[(
        "Add an argument to all deployments that lack it:",
        "ostree-rs admin kargs edit-in-place --append-if-missing=console=ttyS0",
    )]),
    ("ostree-rs-admin-switch", &[
        ("Let the next upgrades come from another ref:", "ostree-rs admin switch example:os/testing"),
        ("From a container image that its registry gives to those with a password:", "ostree-rs admin switch --authfile=auth.json ostree-image-signed:docker://quay.io/exampleos/os:stable"),
    ]),
    ("ostree-rs-admin-unlock", &[
        ("Try a change to /usr out, which the next boot forgets:", "ostree-rs admin unlock"),
        ("Keep changes, and a deployment without them to go back to:", "ostree-rs admin unlock --hotfix"),
    ]),
    ("ostree-rs-admin-upgrade", &[
        ("Fetch the newest commit, and let the machine boot it next:", "ostree-rs admin upgrade"),
        ("Fetch it now, and deploy it later:", "ostree-rs admin upgrade --pull-only"),
        ("Only tell what is new of the image that the system came from:", "ostree-rs admin upgrade --check"),
        ("Let `systemctl kexec` start it, without firmware and boot loader:", "ostree-rs admin upgrade --kexec"),
    ]),
    ("ostree-rs-admin-instutil-grub2-generate", &[(
        "The menu of the boot entries of version 1, in a script of grub2-mkconfig:",
        "ostree-rs admin instutil grub2-generate 1",
    )]),
    ("ostree-rs-admin-os-init", &[("Make a stateroot there:", "ostree-rs admin os-init --sysroot=/mnt exampleos")]),
    ("ostree-rs-admin-state-overlay", &[(
        "As the service ostree-state-overlay@opt does before what is in /opt starts:",
        "ostree-rs admin state-overlay opt /opt",
    )]),
    ("ostree-rs-admin-status", &[
        ("List the deployments of the running system:", "ostree-rs admin status"),
        ("Those on a mounted disk, as JSON:", "ostree-rs admin status --sysroot=/mnt --json"),
    ]),
    ("ostree-rs-cat", &[("Print a file of a commit:", "ostree-rs cat --repo=repo exampleos/stable /usr/lib/os-release")]),
    ("ostree-rs-checkout", &[
        ("Check out a commit by hard links:", "ostree-rs checkout --repo=repo -H exampleos/stable rootfs"),
        ("Make the image of a commit that composefs mounts:", "ostree-rs checkout --repo=repo --composefs exampleos/stable os.cfs"),
        ("One directory of it, as files of the user:", "ostree-rs checkout --repo=repo -U --subpath=/usr/etc exampleos/stable etc"),
    ]),
    ("ostree-rs-checksum", &[("Print the checksum that a file has in a commit:", "ostree-rs checksum /usr/bin/env")]),
    ("ostree-rs-commit", &[
        ("Commit a directory as files of root, signed:", "ostree-rs commit --repo=repo -b exampleos/stable --tree=dir=rootfs --owner-uid=0 --owner-gid=0 --gpg-sign=os@example.org"),
        ("A commit, with the files of an archive on top:", "ostree-rs commit --repo=repo -b exampleos/devel --tree=ref=exampleos/stable --tree=tar=devel.tar.gz"),
    ]),
    ("ostree-rs-config", &[("Keep some space free:", "ostree-rs config --repo=repo set core.min-free-space-percent 5")]),
    ("ostree-rs-diff", &[("List what a commit changed:", "ostree-rs diff --repo=repo exampleos/stable")]),
    ("ostree-rs-export", &[("Write a commit as a tar archive:", "ostree-rs export --repo=repo exampleos/stable -o os.tar")]),
    ("ostree-rs-find-remotes", &[("Pull a ref of a collection from whatever place has it:", "ostree-rs find-remotes --repo=repo --pull org.example.Os exampleos/stable"), ("Ask the machines of the local network, too:", "ostree-rs find-remotes --repo=repo --finders=config,lan,mount org.example.Os exampleos/stable")]),
    ("ostree-rs-fsck", &[("Verify every object, and list what is damaged as JSON:", "ostree-rs fsck --repo=repo --json")]),
    ("ostree-rs-gpg-new-key", &[("Make a key:", "ostree-rs gpg-new-key --secret=secret.asc --public=key.asc 'Example OS <os@example.org>'")]),
    ("ostree-rs-create-usb", &[("Copy a ref of a collection to a stick:", "ostree-rs create-usb --repo=repo /media/stick org.example.Os exampleos/stable")]),
    ("ostree-rs-gpg-sign", &[("Sign a commit:", "ostree-rs gpg-sign --repo=repo --gpg-homedir=secret.asc exampleos/stable os@example.org")]),
    ("ostree-rs-init", &[("Make a repository that is served to others:", "ostree-rs init --repo=repo --mode=archive")]),
    ("ostree-rs-log", &[("Show the history of a ref:", "ostree-rs log --repo=repo exampleos/stable")]),
    ("ostree-rs-ls", &[("List everything below a directory:", "ostree-rs ls --repo=repo -R exampleos/stable /usr/lib")]),
    ("ostree-rs-prepare-root", &[("In an initramfs that has mounted the disk:", "ostree-rs prepare-root /sysroot")]),
    ("ostree-rs-prune", &[("Keep the last five commits of every ref:", "ostree-rs prune --repo=repo --refs-only --depth=5")]),
    ("ostree-rs-pull", &[("Take the commit out of an image:", "ostree-rs pull --repo=repo --ref=exampleos/stable --gpg-keyring=key.asc quay.io/exampleos/os:stable")]),
    ("ostree-rs-pull-local", &[
        ("Copy a ref and its history from another repository:", "ostree-rs pull-local --repo=repo --depth=-1 /srv/repo exampleos/stable"),
        ("Take what is new from a static delta of a repository on a disk:", "ostree-rs pull-local --repo=repo --require-static-deltas /media/usb/repo exampleos/stable"),
    ]),
    ("ostree-rs-push", &[
        ("Copy a ref and what is new of its history to a repository elsewhere:", "ostree-rs push --repo=repo --from-ref=exampleos/stable --depth=-1 /srv/repo"),
        ("Push it to another machine over ssh, with another key:", "ostree-rs push --repo=repo --from-ref=exampleos/stable --ssh 'ssh -i key' me@example.org:/srv/repo"),
        ("Add it to a tree of plain files that serve --export wrote, which `sh www/s3-sync.sh s3://BUCKET` then sends to an object store:", "ostree-rs push --repo=repo --from-ref=exampleos/stable www"),
    ]),
    ("ostree-rs-receive", &[("Take what is pushed, if it is signed, as a command in authorized_keys:", "ostree-rs receive --repo=/srv/repo --gpg-keyring=/srv/key.asc")]),
    ("ostree-rs-refs", &[
        ("List refs with their commits:", "ostree-rs refs --repo=repo --revision"),
        ("Name the parent of a commit:", "ostree-rs refs --repo=repo --create=exampleos/before exampleos/stable^"),
    ]),
    ("ostree-rs-remote-add", &[
        ("Add a remote with its key:", "ostree-rs remote add --repo=repo --gpg-import=key.asc exampleos https://example.org/repo"),
        ("With a key that is not OpenPGP's:", "ostree-rs remote add --repo=repo --no-gpg-verify --sign-verify=spki=file:/etc/keys/public.pem exampleos https://example.org/repo"),
    ]),
    ("ostree-rs-remote-add-cookie", &[("Send a cookie with every request:", "ostree-rs remote add-cookie --repo=repo exampleos example.org / token 0123")]),
    ("ostree-rs-remote-delete-cookie", &[("Send it no longer:", "ostree-rs remote delete-cookie --repo=repo exampleos example.org / token")]),
    ("ostree-rs-remote-list-cookies", &[("List what is sent:", "ostree-rs remote list-cookies --repo=repo exampleos")]),
    ("ostree-rs-remote-delete", &[("Forget a remote, if there is one:", "ostree-rs remote delete --repo=repo --if-exists exampleos")]),
    ("ostree-rs-remote-list", &[("List remotes and where they are:", "ostree-rs remote list --repo=repo --show-urls")]),
    ("ostree-rs-remote-refs", &[("List the refs that a remote has, with their commits:", "ostree-rs remote refs --repo=repo --revision exampleos")]),
    ("ostree-rs-remote-summary", &[("Show the summary of a remote:", "ostree-rs remote summary --repo=repo exampleos")]),
    ("ostree-rs-remote-show-url", &[("Print where a remote is:", "ostree-rs remote show-url --repo=repo exampleos")]),
    ("ostree-rs-remote-gpg-import", &[("Trust a key of a remote:", "ostree-rs remote gpg-import --repo=repo -k key.asc exampleos")]),
    ("ostree-rs-remote-gpg-list-keys", &[("List the keys of a remote:", "ostree-rs remote gpg-list-keys --repo=repo exampleos")]),
    ("ostree-rs-remount", &[("After systemd-remount-fs.service:", "ostree-rs remount")]),
    ("ostree-rs-reset", &[("Let a ref name the commit before:", "ostree-rs reset --repo=repo exampleos/stable exampleos/stable^")]),
    ("ostree-rs-rev-parse", &[("Print the commit that a ref names:", "ostree-rs rev-parse --repo=repo exampleos/stable")]),
    ("ostree-rs-serve", &[
        ("Let everybody in this network pull from a repository, whatever its mode:", "ostree-rs serve --repo=repo --listen=0.0.0.0:8080"),
        ("By HTTPS, its images in up to 64 layers:", "ostree-rs serve --repo=repo --listen=[::]:8443 --tls-cert=cert.pem --tls-key=key.pem --max-layers=64"),
        ("As plain files for nginx or Caddy, or for an object store, where `sh /srv/www/s3-sync.sh s3://BUCKET` sends them:", "ostree-rs serve --repo=repo --export=/srv/www"),
        ("As a container does of an image that was built with --serve:", "ostree-rs serve --image-root=/ --listen=:8080"),
    ]),
    ("ostree-rs-show", &[("Show a commit and its signatures:", "ostree-rs show --repo=repo exampleos/stable")]),
    ("ostree-rs-static-delta-list", &[("List static deltas:", "ostree-rs static-delta list --repo=repo")]),
    ("ostree-rs-static-delta-show", &[("Show how large a static delta is, and what it is made of:", "ostree-rs static-delta show --repo=repo 2ab3c0a1f7a4e2f5d9f7c1a5f04b8b1c5cb1c2bb4e6d5ea8a4d2e0a1b2c3d4e5")]),
    ("ostree-rs-static-delta-generate", &[
        ("Let machines that have the commit before get the new one in a few files:", "ostree-rs static-delta generate --repo=repo exampleos/stable"),
        ("As one file for a disk, with everything in it:", "ostree-rs static-delta generate --repo=repo --inline --min-fallback-size=0 --filename=/media/usb/update.delta exampleos/stable"),
    ]),
    ("ostree-rs-static-delta-verify", &[("Look for a signature by a key in a file:", "ostree-rs static-delta verify --repo=repo --keys-file=trusted.ed25519 2ab3c0a1f7a4e2f5d9f7c1a5f04b8b1c5cb1c2bb4e6d5ea8a4d2e0a1b2c3d4e5")]),
    ("ostree-rs-static-delta-indexes", &[("List the commits to which there are static deltas:", "ostree-rs static-delta indexes --repo=repo")]),
    ("ostree-rs-static-delta-reindex", &[("Let clients know of new static deltas:", "ostree-rs static-delta reindex --repo=repo")]),
    ("ostree-rs-static-delta-apply-offline", &[("Write the commit that a static delta leads to, from files on a disk:", "ostree-rs static-delta apply-offline --repo=repo /media/usb/update.delta")]),
    ("ostree-rs-static-delta-delete", &[("Delete a static delta:", "ostree-rs static-delta delete --repo=repo 2ab3c0a1f7a4e2f5d9f7c1a5f04b8b1c5cb1c2bb4e6d5ea8a4d2e0a1b2c3d4e5")]),
    ("ostree-rs-sign", &[
        ("Sign a commit with a key that openssl made:", "ostree-rs sign --repo=repo --sign-type=spki --keys-file=secret.pem exampleos/stable"),
        ("Look for a signature by a key that the system trusts:", "ostree-rs sign --repo=repo --verify exampleos/stable"),
    ]),
    ("ostree-rs-summary", &[("Write the summary, signed:", "ostree-rs summary --repo=repo -u --gpg-sign=os@example.org")]),
    ("ostree-rs-system-generator", &[("See which units systemd would get:", "ostree-rs system-generator units")]),
    ("ostree-rs-tar-import", &[("Import a commit under a ref:", "ostree-rs tar import --repo=repo --write-ref=exampleos/stable os.tar")]),
    ("ostree-rs-tar-export", &[("Write a commit without loss:", "ostree-rs tar export --repo=repo -o os.tar exampleos/stable")]),
    ("ostree-rs-container-build", &[
        ("Push a commit as an image of at most 64 layers, by packages:", "ostree-rs container build --repo=repo --ref=exampleos/stable --push quay.io/exampleos/os:stable --max-layers=64 --previous=quay.io/exampleos/os:stable"),
        ("Write it into a directory, compressed by zstd:", "ostree-rs container build --repo=repo --ref=exampleos/stable --oci-dir=os --compression=zstd:9"),
        ("Push an image whose programs have the capabilities of their files in containers, too:", "ostree-rs container build --repo=repo --ref=exampleos/stable --xattrs=copied --push quay.io/exampleos/os:stable"),
        ("Push an image that serves itself, and run it, as ostree remote add OS http://HOST:8080/repo expects:", "ostree-rs container build --repo=repo --ref=exampleos/stable --serve --push quay.io/exampleos/os:stable"),
        ("Push it on the layers of another image, which registries and machines share:", "ostree-rs container build --repo=repo --ref=exampleos/stable --from=docker://docker.io/library/debian:12 --push quay.io/exampleos/os:on-debian"),
    ]),
    ("ostree-rs-container-pull", &[
        ("Take the commit out of an image, by the keys of a remote:", "ostree-rs container pull --repo=repo --ref=exampleos/stable ostree-remote-image:exampleos:docker://quay.io/exampleos/os:stable"),
        ("Of a directory, believing it:", "ostree-rs container pull --repo=repo ostree-unverified-image:oci:os"),
    ]),
    ("ostree-rs-container-convert", &[
        ("Tell what keeps an image from being booted:", "ostree-rs container convert --check quay.io/exampleos/debian-with-kernel:stable"),
        ("Make a commit of it that boots:", "ostree-rs container convert --repo=repo --branch=exampleos/stable --bootable quay.io/exampleos/debian-with-kernel:stable"),
    ]),
    ("ostree-rs-container-copy", &[("Copy an image for every platform:", "ostree-rs container copy --all docker://quay.io/exampleos/os:stable oci:os")]),
    ("ostree-rs-container-encapsulate", &[("Push a commit as an image:", "ostree-rs container encapsulate --repo=repo exampleos/stable docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-unencapsulate", &[("Take the commit out of an image:", "ostree-rs container unencapsulate --repo=repo --write-ref=exampleos/stable ostree-remote-image:exampleos:docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-info", &[("Print the digest of an image:", "ostree-rs container info ostree-unverified-registry:quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-compare", &[("Tell what an update would fetch:", "ostree-rs container compare docker://quay.io/exampleos/os:1 docker://quay.io/exampleos/os:2")]),
    ("ostree-rs-container-diff", &[
        ("Tell which packages an update brings, and how much it fetches:", "ostree-rs container diff --packages docker://quay.io/exampleos/os:1 docker://quay.io/exampleos/os:2"),
        ("For programs:", "ostree-rs container diff --packages --json oci:os:1 oci:os:2"),
    ]),
    ("ostree-rs-container-commit", &[("As the last step of a Containerfile:", "ostree-rs container commit")]),
    ("ostree-rs-container-delta-create", &[
        ("Let machines with version 1 fetch little of version 2:", "ostree-rs container delta create docker://quay.io/exampleos/os:1 docker://quay.io/exampleos/os:2 docker://quay.io/exampleos/os"),
        ("For flatpak:", "ostree-rs container delta create --format=deltaindex docker://example.org/app:1 docker://example.org/app:2 docker://example.org/app"),
        ("Into a file, as small as it gets:", "ostree-rs container delta create --best oci:os:1 oci:os:2 oci-archive:1-to-2.ociarchive"),
    ]),
    ("ostree-rs-container-delta-apply", &[("Make version 2 of version 1 and a delta:", "ostree-rs container delta apply oci:os:1 oci-archive:1-to-2.ociarchive oci:os:2")]),
    ("ostree-rs-container-delta-show", &[("Show what is in a delta:", "ostree-rs container delta show oci-archive:1-to-2.ociarchive")]),
    ("ostree-rs-container-delta-stats", &[("Compare the ways of an update, also with a delta that is made for that:", "ostree-rs container delta stats --create docker://quay.io/exampleos/os:1 docker://quay.io/exampleos/os:2")]),
    ("ostree-rs-container-image-list", &[("List the images of a repository:", "ostree-rs container image list --repo=/ostree/repo")]),
    ("ostree-rs-container-image-pull", &[
        ("Pull an image with its layers, if the policy lets it in:", "ostree-rs container image pull /ostree/repo ostree-image-signed:docker://quay.io/exampleos/os:stable"),
        ("Only look for an update:", "ostree-rs container image pull --check /ostree/repo ostree-image-signed:docker://quay.io/exampleos/os:stable"),
    ]),
    ("ostree-rs-container-image-deploy", &[
        ("Deploy an image on a disk that is mounted at /mnt; upgrades will come from another tag:", "ostree-rs container image deploy --sysroot=/mnt --stateroot=os --imgref=ostree-image-signed:docker://quay.io/exampleos/os:1 --target-imgref=ostree-image-signed:docker://quay.io/exampleos/os:stable --karg=root=LABEL=root"),
    ]),
    ("ostree-rs-container-image-upgrade", &[
        ("Let this machine boot what its image is now:", "ostree-rs container image upgrade"),
        ("Only tell what would come:", "ostree-rs container image upgrade --check"),
    ]),
    ("ostree-rs-container-image-switch", &[("Let this machine boot another image:", "ostree-rs container image switch ostree-image-signed:docker://quay.io/exampleos/os:next")]),
    ("ostree-rs-container-image-history", &[("Show the layers of an image:", "ostree-rs container image history --repo=/ostree/repo docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-image-metadata", &[("Print the configuration of an image:", "ostree-rs container image metadata --repo=/ostree/repo --config docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-image-copy", &[("Copy an image to another repository:", "ostree-rs container image copy --src-repo=/ostree/repo --dest-repo=repo docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-image-reexport", &[("Push a pulled image somewhere else:", "ostree-rs container image reexport --repo=/ostree/repo docker://quay.io/exampleos/os:stable docker://example.org/os:stable")]),
    ("ostree-rs-container-image-replace-detached-metadata", &[("Give an image the signature that was made later:", "ostree-rs container image replace-detached-metadata --src oci:os --dest oci:signed os.commitmeta")]),
    ("ostree-rs-container-image-remove", &[("Take away an image, and layers that no other one needs:", "ostree-rs container image remove --repo=/ostree/repo docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-container-image-prune-layers", &[("Take away layers that no image needs:", "ostree-rs container image prune-layers --repo=/ostree/repo")]),
    ("ostree-rs-container-image-prune-images", &[("Take away images that no deployment needs, and their layers:", "ostree-rs container image prune-images --and-layers")]),
    ("ostree-rs-container-image-clear-cached-update", &[("Forget the update that was seen:", "ostree-rs container image clear-cached-update --repo=/ostree/repo docker://quay.io/exampleos/os:stable")]),
    ("ostree-rs-completions", &[
        ("In ~/.bashrc:", "source <(ostree-rs completions bash)"),
        ("In ~/.zshrc, behind compinit:", "source <(ostree-rs completions zsh)"),
        ("In ~/.config/fish/config.fish:", "ostree-rs completions fish | source"),
    ]),
    ("ostree-rs-man", &[("Install the pages:", "ostree-rs man /usr/local/share/man/man1")]),
    ("ostree-rs-demo", &[("Watch the main job, with files that you have:", "ostree-rs demo /usr/share/doc")]),
];
