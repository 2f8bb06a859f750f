//! Files that share their blocks, on btrfs and xfs: in a commit, a checkout, and where two objects have one content.

use crate::volume::Volume;

/// A large file, a small one, and a copy of the large one that is another object.
const TREE: &str = "
    mkdir tree
    head -c 9000000 /dev/urandom > tree/large
    head -c 60000 /dev/urandom > tree/small
    cp --reflink=never tree/large tree/private
    chmod 600 tree/private
";

#[test]
fn commits_and_checkouts_share_blocks() {
    for volume in Volume::all() {
        blocks_are_shared(&volume);
    }
}

fn blocks_are_shared(volume: &Volume) {
    volume.run(TREE);
    for mode in ["bare", "bare-user", "bare-user-only", "archive"] {
        volume.run(&format!(
            "rm -rf repo co; ostree --repo=repo init --mode={mode}
             $OURS --repo=repo commit -b x tree
             ostree --repo=repo fsck -q
             $OURS --repo=repo checkout -U -C x co
             cmp tree/large co/large; cmp tree/small co/small; cmp tree/private co/private"
        ));
        let (own, checked_out) = (volume.own_bytes("repo/objects"), volume.own_bytes("co"));
        match mode {
            "archive" => assert!(own > 18_000_000),
            _ => assert!(own < 100_000 && checked_out < 100_000, "{mode}: {own} {checked_out}"),
        }
    }
    // A file that changes later leaves the object as it was.
    volume.run(
        "rm -rf repo; ostree --repo=repo init --mode=bare-user; $OURS --repo=repo commit -b x tree
         printf changed | dd of=tree/large conv=notrunc status=none; ostree --repo=repo fsck -q",
    );
}

/// There are payload links as C ostree makes them, each to an object that is there, and objects with one content take its room once.
#[test]
fn payload_links() {
    for volume in Volume::all() {
        links_are_the_same(&volume);
    }
}

fn links_are_the_same(volume: &Volume) {
    volume.run(TREE);
    let links = "find repo/objects -name '*.payload-link' ! -xtype l -printf '%P\\n' | sort";
    for (threshold, expected) in [(0, 2), (100_000, 1), (10_000_000, 0)] {
        let repo = |program: &str| {
            let made = format!(
                "rm -rf repo co; ostree --repo=repo init --mode=bare-user
                 ostree --repo=repo config set core.payload-link-threshold {threshold}
                 rm -rf tree/private; {program} --repo=repo commit -b x tree > /dev/null
                 cp --reflink=never tree/large tree/private; chmod 600 tree/private
                 {program} --repo=repo commit -b x tree > /dev/null; ostree --repo=repo fsck -q > /dev/null; {links}"
            );
            let found = volume.run(&made);
            volume.run(
                "mv tree elsewhere; mkdir tree; cp --reflink=never -p elsewhere/* tree; rm -r elsewhere",
            );
            (found, volume.own_bytes("repo/objects"))
        };
        let ((ours, own), (theirs, _)) = (repo("$OURS"), repo("ostree"));
        assert_eq!(ours, theirs, "{threshold}");
        assert_eq!(ours.lines().count(), expected, "{threshold}");
        // The two large objects share their blocks with each other, or with nothing any more.
        let alone = expected == 0;
        assert_eq!(own > 17_000_000, alone, "{threshold}: {own}");
    }
    // Where the object is damaged, nothing is shared with it; where it is gone, nothing either.
    for damage in ["printf x | dd of=$F conv=notrunc status=none", "rm $F"] {
        volume.run(&format!(
            "rm -rf repo; $OURS --repo=repo init --mode=bare-user
             $OURS --repo=repo config set core.payload-link-threshold 0; mkdir -p one two
             cp --reflink=never tree/large one/f; cp --reflink=never tree/large two/f; chmod 600 two/f
             $OURS --repo=repo commit -b one one; F=$(find repo/objects -name '*.file'); {damage}
             ID=$($OURS --repo=repo commit -b two two); $OURS --repo=repo checkout -U two co; cmp co/f two/f
             rm -r co; $OURS --repo=repo refs --delete one; $OURS --repo=repo prune --refs-only
             ostree --repo=repo fsck -q"
        ));
    }
}
