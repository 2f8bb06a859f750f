//! Images in podman's store on btrfs and xfs: the objects share the blocks of its files.

use crate::oracle::need;
use crate::volume::Volume;

/// A store with an image that buildah made of a tree, and one of ours with a commit of it; and both as skopeo copies them.
const IMAGES: &str = "
    mkdir tree; head -c 2000000 /dev/urandom > tree/large; head -c 60000 /dev/urandom > tree/small; echo tiny > tree/tiny
    cp --reflink=never tree/large tree/private; chmod 600 tree/private; ln tree/large tree/linked; ln -s large tree/link
    truncate -s 1M tree/holes; echo end >> tree/holes
    B=\"buildah --root $PWD/g --runroot $PWD/r --storage-driver overlay\"
    C=$($B from -q scratch); $B copy -q $C tree /usr/lib; $B commit -q $C plain; $B rm $C
    $OURS --repo=repo init --mode=archive; $OURS --repo=repo commit -b os tree
    $OURS container build -q --repo=repo --ref=os --oci-dir=oci --tag=ours --max-layers=4
    skopeo copy -q oci:oci:ours \"containers-storage:[overlay@$PWD/g+$PWD/r]localhost/ours\"
    mkdir copy; skopeo copy -q oci:oci:ours dir:copy/ours
    skopeo copy -q \"containers-storage:[overlay@$PWD/g+$PWD/r]localhost/plain\" dir:copy/plain
";

/// Shell functions: an image's name in the store; a pull of it, and of its copy, into new repositories.
const FUNCTIONS: &str = "
    stored() { echo \"containers-storage:[overlay@$PWD/g+$PWD/r]localhost/$1\"; }
    pull() { rm -rf $1; $OURS --repo=$1 init --mode=$2
             $OURS container pull -q --repo=$1 --ref=x ostree-unverified-image:$3; }
";

fn volumes() -> Vec<Volume> {
    if !need("buildah") || !need("skopeo") {
        return Vec::new();
    }
    let volumes = Volume::all();
    volumes.iter().for_each(|volume| drop(volume.run(IMAGES)));
    volumes
}

#[test]
fn objects_share_the_blocks_of_files() {
    for volume in volumes() {
        for mode in ["bare", "bare-user", "bare-user-only", "archive"] {
            for image in ["plain", "ours"] {
                let commits = volume.run(&format!(
                    "{FUNCTIONS} pull place {mode} \"$(stored {image})\"; pull copied {mode} dir:copy/{image}
                     ostree --repo=place fsck -q >&2"
                ));
                let commits: Vec<&str> = commits.split_whitespace().collect();
                assert!(commits.len() == 2 && commits[0] == commits[1], "{mode} {image}: {commits:?}");
                let [place, copied] =
                    ["place", "copied"].map(|repo| volume.own_bytes(&format!("{repo}/objects")));
                assert!(copied > 4_000_000, "{mode} {image}: {copied}");
                match mode {
                    "archive" => assert!(place > 4_000_000, "{image}: {place}"),
                    _ => assert!(place < 150_000, "{mode} {image}: {place}"),
                }
            }
        }
        // What podman's files become later is nothing to the objects.
        volume.run(
            "for f in g/overlay/*/diff/usr/lib/large; do printf x | dd of=$f conv=notrunc status=none; done
                    ostree --repo=place fsck -q",
        );
    }
}

#[test]
fn blocks_of_another_file_system_are_copied() {
    for volume in volumes() {
        for image in ["plain", "ours"] {
            let commits = volume.run(&format!(
                "{FUNCTIONS} pull ../elsewhere bare \"$(stored {image})\"; pull copied bare dir:copy/{image}
                 ostree --repo=../elsewhere fsck -q >&2"
            ));
            let commits: Vec<&str> = commits.split_whitespace().collect();
            assert!(commits.len() == 2 && commits[0] == commits[1], "{image}: {commits:?}");
        }
    }
}

#[test]
fn files_that_change_are_refused() {
    for volume in volumes() {
        let refused = |change: &str, image: &str| {
            let out =
                volume.start(&format!("{FUNCTIONS} {change}; pull place bare-user \"$(stored {image})\""));
            assert!(!out.status.success(), "{change}");
            String::from_utf8(out.stderr).unwrap()
        };
        let object = "F=$(find g/overlay/*/diff/sysroot -size +1M | head -n1); printf x | dd of=$F conv=notrunc status=none";
        let error = refused(object, "ours");
        assert!(error.contains("checksum"), "{error}");
        // Each time a pull finds the files as they were, or says which is not.
        let changing = "
            F=$(echo g/overlay/*/diff/usr/lib/large); rm -rf place; cp --reflink=never $F whole
            (while :; do printf x | dd of=$F conv=notrunc status=none; dd if=whole of=$F bs=1 count=1 conv=notrunc status=none; done) &
            trap \"kill $!\" EXIT; pull copied bare-user dir:copy/plain > expected
            for n in 1 2 3 4 5 6; do
                if pull place bare-user \"$(stored plain)\" > commit 2> error; then cmp commit expected; ostree --repo=place fsck -q
                else grep -q 'usr/lib/large was changed in the store\\|: diffid expected=' error || { cat error >&2; exit 1; }; fi
            done";
        volume.run(&format!("{FUNCTIONS} {changing}"));
        let error = refused(
            "F=$(echo g/overlay/*/diff/usr/lib/large); printf x | dd of=$F conv=notrunc status=none",
            "plain",
        );
        assert!(error.contains("usr/lib/large was changed in the store"), "{error}");
    }
}
