//! Zip archives become the same trees as with C ostree; what is damaged or not read is named.

use std::fs;
use std::io::{Seek as _, Write as _};

use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::format::Checksum;
use ostree_rs::store::{MemStore, Modifier, MutableTree};
use ostree_rs::tar::{
    ArchiveInput, EntryErrorKind as Kind, Error, FormatErrorKind, Parents, TreeOptions, import_tree,
};

use super::tree::ostree;
use crate::oracle::{need, run};

/// `add(name, content, mode, system, attributes, method, extra fields)`, and a zip archive on standard output.
const PRELUDE: &str = r"
import io, struct, sys, zipfile
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA
out = io.BytesIO()
z = zipfile.ZipFile(out, 'w')
def add(name, content='', mode=0o100644, system=3, attr=None, method=0, extra=b''):
    info = zipfile.ZipInfo(name)
    info.create_system = system
    info.compress_type = method
    info.extra = extra
    info.external_attr = mode << 16 if attr is None else attr
    with z.open(info, 'w') as f:
        info.external_attr = mode << 16 if attr is None else attr
        f.write(content.encode())
";

/// Archives that C ostree reads.
const READ: [(&str, &str); 13] = [
    ("stored", "add('a', 'x' * 5); add('empty')"),
    ("deflated", "add('a', 'xy' * 300000, method=ZIP_DEFLATED); add('b', 'z', method=ZIP_DEFLATED)"),
    ("bzip2", "add('a', 'xy' * 300000, method=ZIP_BZIP2)"),
    (
        "links",
        "add('l', 'a', 0o120777); add('m', '../a/' * 30, 0o120777); add('d/', mode=0o40755); add('d/l', 'b', 0o120777)",
    ),
    (
        "modes",
        "add('s', 'x', 0o104755); add('d/', mode=0o42750); add('d/f', 'y', 0o100000); add('t/', mode=0o41777)
add('no-slash', mode=0o40700); add('slash/', mode=0o100640); add('no-type', 'x', 0o600); add('fifo', 'x', 0o10600)",
    ),
    (
        "no Unix attributes",
        "add('d/', mode=0, system=0, attr=0x10); add('e/', system=0, attr=0); add('f', 'x', system=0, attr=0x20)
add('ro', 'x', system=0, attr=1); add('rod/', 'x', system=0, attr=0x11); add('d\\\\b', 'x', system=0, attr=0)
add('nodir', system=0, attr=0x10); add('z', 'z', attr=0)
for system in 7, 10, 11, 19: add('s%d' % system, 'x', system=system)",
    ),
    (
        "zip64",
        "i = zipfile.ZipInfo('big'); i.external_attr = 0o100644 << 16; i.create_system = 3
with z.open(i, 'w', force_zip64=True) as f: f.write(b'x' * 100)
add('y', 'y')",
    ),
    ("zip64 by number", "for n in range(66000): add('%d' % n)"),
    ("comment", "add('a', 'x'); z.comment = b'c' * 10000"),
    ("twice", "add('a', '1'); add('b', '2'); add('a', '3')"),
    ("names", "add('wörld/ü', 'x'); add('./dot', 'x'); add('/absolute', 'x'); add('a//b', 'x')"),
    (
        "owners",
        "add('a', 'x', extra=struct.pack('<HHBBIBI', 0x7875, 11, 1, 4, 70000, 4, 5))
add('b', 'x', extra=struct.pack('<HHHH', 0x7855, 4, 7, 8))
add('c', 'x', extra=struct.pack('<HHBBHBH', 0x7875, 7, 1, 2, 300, 2, 9))
add('d', 'x', extra=struct.pack('<HHIIHH', 0x5855, 12, 1, 2, 3, 4))",
    ),
    ("nothing", ""),
];

pub(super) fn python(script: &str) -> Vec<u8> {
    let end = "\nz.close(); sys.stdout.buffer.write(out.getvalue())";
    run("python3", &["-W", "ignore", "-c", &format!("{PRELUDE}{script}{end}")])
}

fn import(archive: &[u8]) -> Result<Checksum, Error> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(archive).unwrap();
    file.rewind().unwrap();
    read(ArchiveInput::File(&file))
}

fn read(source: ArchiveInput<'_>) -> Result<Checksum, Error> {
    let (store, mut tree) = (MemStore::new(), MutableTree::new());
    let options = TreeOptions { parents: Parents::Create, ..TreeOptions::default() };
    import_tree(source, &store, &mut tree, &mut Modifier::default(), &options, &Ctx::default())?;
    Ok(tree.write(&store)?.content_checksum())
}

fn check(name: &str, archive: &[u8]) {
    let ours = import(archive).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(ours, ostree(archive, &["--tar-autocreate-parents"]), "{name}");
}

#[test]
fn the_same_trees_as_with_ostree() {
    if !need("ostree") || !need("python3") {
        return;
    }
    for (name, script) in READ {
        check(name, &python(script));
    }
}

#[test]
fn what_other_programs_write() {
    if !need("ostree") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let tree = dir.path().join("tree");
    super::tree::make_tree(&tree);
    let tree = tree.display();
    for (program, command) in [
        ("zip", "zip -q -r -y OUT ."),
        ("zip", "zip -q -r -y -X -D -0 OUT ."),
        ("zip", "LC_ALL=C zip -q -r -y -fz OUT ."),
        ("zip", "zip -q -r -y -Z bzip2 OUT ."),
        ("zip", "echo standard input | zip -q OUT -"),
        ("bsdtar", "bsdtar -c --format=zip -f OUT *"),
        ("bsdtar", "bsdtar -c --format=zip --options zip:compression=store -f OUT *"),
    ] {
        if need(program) {
            let out = path("out.zip");
            run("sh", &["-c", &format!("cd {tree} && {}", command.replace("OUT", &out))]);
            check(command, &fs::read(&out).unwrap());
            fs::remove_file(&out).unwrap();
        }
    }
}

#[test]
fn what_is_not_read_is_named() {
    if !need("python3") {
        return;
    }
    let refused = |script: &str| match import(&python(script)).unwrap_err() {
        Error::Entry { path, kind, .. } if path.ends_with('a') => kind,
        other => panic!("{script}: {other}"),
    };
    assert_eq!(
        refused("add('a', 'x', method=ZIP_LZMA)"),
        Kind::Packed("compressed by method 14 (LZMA)".into())
    );
    assert_eq!(refused("add('x'); add('b/../../a', 'x')"), Kind::DotDot);
    assert_eq!(refused("add('a', 'x', 0o20644)"), Kind::Type("a character device"));
    let dir = tempfile::tempdir().unwrap();
    if need("zip") {
        let script = format!("cd {} && echo x >a && zip -q -P secret z.zip a", dir.path().display());
        run("sh", &["-c", &script]);
        let error = import(&fs::read(dir.path().join("z.zip")).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Entry { kind: Kind::Packed(how), .. } if how == "encrypted"));
    }
    // A pipe has no end from which one could begin, and neither has what is compressed once more.
    let good = python("add('a', 'x' * 100, method=ZIP_DEFLATED)");
    let mut packed = tempfile::tempfile_in(dir.path()).unwrap();
    packed.write_all(&zstd::encode_all(&*good, 1).unwrap()).unwrap();
    packed.rewind().unwrap();
    for source in [ArchiveInput::Stream(&mut &*good), ArchiveInput::File(&packed)] {
        let error = read(source).unwrap_err();
        assert!(
            matches!(error, Error::Format { kind: FormatErrorKind::Foreign(what), .. } if what.contains("to a file"))
        );
    }
}

/// Every byte of sizes, checksums and contents counts.
#[test]
fn damage_is_found() {
    if !need("python3") {
        return;
    }
    let text = "for n in range(5000): t += str(n)";
    let good = python(&format!("t = ''\n{text}\nadd('a', t, method=ZIP_DEFLATED)"));
    import(&good).unwrap();
    let directory = good.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    let damaged = |at: usize, by: u8| {
        let mut bytes = good.clone();
        bytes[at] = bytes[at].wrapping_add(by);
        import(&bytes).unwrap_err()
    };
    for at in (0..directory - 100).step_by(997).skip(1) {
        let error = damaged(at, 1);
        assert!(matches!(&error, Error::Entry { kind: Kind::Damaged(_), .. }), "{at}: {error}");
    }
    // Checksum, and uncompressed size: smaller, larger, and far too large.
    for (at, by) in [(16, 1), (24, 1), (24, 255), (27, 200)] {
        let error = damaged(directory + at, by);
        let text = WithCauses(&error).to_string();
        assert!(matches!(error, Error::Entry { .. } | Error::Store(_)), "{at}: {text}");
        assert!(text.contains("'a'") || text.contains(" a"), "{text}");
    }
    // Wherever it is cut off.
    for len in (4..good.len()).step_by(501).chain([directory, good.len() - 1]) {
        let error = import(&good[..len]).unwrap_err();
        assert!(matches!(&error, Error::Format { kind: FormatErrorKind::Zip(_), .. }), "{len}: {error}");
    }
    // Within it is another one, whole.
    let inner = "y = io.BytesIO(); i = zipfile.ZipFile(y, 'w'); i.writestr('inner', 'x'); i.close()
z.writestr('outer', y.getvalue()); add('after', 'x')";
    let outer = python(inner);
    let end = outer.windows(4).position(|four| four == b"PK\x05\x06").unwrap() + 22;
    assert!(end < outer.len());
    let error = import(&outer[..end]).unwrap_err();
    assert!(WithCauses(&error).to_string().contains("cut off"), "{error}");
}
