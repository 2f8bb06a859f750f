//! Tables of contents that say what is not so.

use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use serde_json::{Value, json};

use super::{Fixture, Xattrs, blob};
use crate::registry::front::Front;
use crate::registry::{MANIFEST, push_blob, registry};

const POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";

/// What is said of a layer, to be turned into a lie.
pub(super) struct Table {
    pub(super) entries: Vec<Value>,
    annotations: Value,
}

impl Table {
    /// The numbers of the file objects that the first version lacks, and of their xattrs before them.
    fn new_files(&self, old: &Self) -> Vec<usize> {
        let is_new = |entry: &Value| !old.entries.iter().any(|e| e["name"] == entry["name"]);
        let is_file = |entry: &Value| entry["name"].as_str().unwrap().ends_with(".file");
        let sized = |entry: &Value| entry["size"].as_u64() == Some(40_000);
        let all = self.entries.iter().enumerate();
        all.filter(|(_, e)| is_file(e) && sized(e) && is_new(e)).map(|(n, _)| n).collect()
    }
}

impl Fixture {
    pub(super) fn manifest(&self, tag: &str) -> Value {
        let registry = registry(&self.server.url(), "app", None);
        serde_json::from_slice(&registry.manifest(tag, &[MANIFEST], &Ctx::default()).unwrap().bytes).unwrap()
    }

    /// The blob of the only layer up to its table, and the table.
    fn table(&self, tag: &str) -> (Vec<u8>, Table) {
        let layer = self.manifest(tag)["layers"][0].clone();
        let mut blob = blob(self.server.address, layer["digest"].as_str().unwrap());
        let annotations = layer["annotations"].clone();
        // Under the name that it had until 2022, too.
        let position = [POSITION, &POSITION.replace(".github", "")].map(|key| annotations[key].as_str());
        let position = position.into_iter().flatten().next().unwrap();
        let numbers = position.split(':').map(|n| n.parse().unwrap());
        let [start, length, _, _] = numbers.collect::<Vec<usize>>()[..] else { panic!() };
        let json = zstd::decode_all(&blob[start..start + length]).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        blob.truncate(start - 8);
        (blob, Table { entries: json["entries"].as_array().unwrap().clone(), annotations })
    }

    /// Pushes the second version with what `lie` makes of its table.
    pub(super) fn push_lie(&self, tag: &str, lie: &dyn Fn(&mut Table, &[usize])) {
        let ((mut blob, mut table), (_, old)) = (self.table("2"), self.table("1"));
        let new = table.new_files(&old);
        lie(&mut table, &new);
        let json = serde_json::to_vec(&json!({"version": 1, "entries": table.entries})).unwrap();
        let packed = zstd::encode_all(&json[..], 3).unwrap();
        let start = blob.len() + 8;
        blob.extend([0x50, 0x2a, 0x4d, 0x18]);
        blob.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        blob.extend(&packed);
        let said = |key: &str, default: String| match &table.annotations[key] {
            Value::String(lie) if lie.starts_with('!') => json!(lie[1..]),
            _ => json!(default),
        };
        let registry = registry(&self.server.url(), "app", None);
        let digest = push_blob(&registry, &blob).unwrap();
        let mut manifest = self.manifest("2");
        manifest["layers"][0]["digest"] = json!(format!("sha256:{digest}"));
        manifest["layers"][0]["size"] = json!(blob.len());
        manifest["layers"][0]["annotations"] = json!({
            POSITION: said(POSITION, format!("{start}:{}:{}:1", packed.len(), json.len())),
            CHECKSUM: said(CHECKSUM, format!("sha256:{}", Checksum::of(&packed))),
        });
        let bytes = serde_json::to_vec(&manifest).unwrap();
        registry.put_manifest(tag, MANIFEST, &bytes, &Ctx::default()).unwrap();
    }
}

type Lie = (&'static str, fn(&mut Table, &[usize]));

/// What tables may say that is not so. Each costs the whole layer, and nothing else.
const LIES: &[Lie] = &[
    ("the content of another object", |table, new| {
        for back in [0, 1] {
            let names = [new[0] - back, new[1] - back].map(|n| table.entries[n]["name"].clone());
            table.entries[new[1] - back]["name"] = names[0].clone();
            table.entries[new[0] - back]["name"] = names[1].clone();
        }
    }),
    ("another mode", |table, new| table.entries[new[0]]["mode"] = json!(0o777)),
    ("another owner", |table, new| table.entries[new[0]]["uid"] = json!(7)),
    ("a larger file", |table, new| table.entries[new[0]]["size"] = json!(40_001)),
    ("a huge file", |table, new| table.entries[new[0]]["size"] = json!(u64::MAX)),
    ("a smaller file", |table, new| table.entries[new[0]]["size"] = json!(39_999)),
    ("a frame beyond the table", |table, new| table.entries[new[0]]["endOffset"] = json!(u64::MAX)),
    ("a frame that ends before it begins", |table, new| table.entries[new[0]]["endOffset"] = json!(1)),
    ("a frame in the midst of one", |table, new| {
        let offset = table.entries[new[0]]["offset"].as_u64().unwrap();
        table.entries[new[0]]["offset"] = json!(offset + 1);
    }),
    ("two objects at one place", |table, new| {
        for key in ["offset", "endOffset"] {
            table.entries[new[1]][key] = table.entries[new[0]][key].clone();
        }
    }),
    ("an object left out", |table, new| drop(table.entries.drain(new[0] - 1..=new[0]))),
    ("a file without xattrs", |table, new| drop(table.entries.remove(new[0] - 1))),
    ("an object twice", |table, new| {
        let twice = table.entries[new[0] - 1..=new[0]].to_vec();
        table.entries.splice(new[0] + 1..new[0] + 1, twice);
    }),
    ("a device", |table, new| table.entries[new[0]]["type"] = json!("char")),
    ("xattrs elsewhere", |table, new| table.entries[new[0] - 1]["linkName"] = json!("etc/passwd")),
    ("no commit", |table, _| table.entries.retain(|e| !e["name"].as_str().unwrap().ends_with(".commit"))),
    ("another commit", |table, _| {
        let is_commit = |e: &&mut Value| e["name"].as_str().unwrap().ends_with(".commit");
        let name = format!("sysroot/ostree/repo/objects/aa/{}.commit", "b".repeat(62));
        table.entries.iter_mut().find(is_commit).unwrap()["name"] = json!(name);
    }),
    ("pieces that do not fit", |table, _| {
        let chunk = table.entries.iter_mut().rfind(|e| e["type"] == "chunk").unwrap();
        chunk["chunkOffset"] = json!(5);
    }),
    ("a name without end", |table, _| {
        table.entries.push(json!({"type": "dir", "name": "x".repeat(3_000_000)}));
    }),
    ("a number as a name", |table, _| table.entries.push(json!({"type": "dir", "name": 3}))),
    ("another digest", |table, _| table.annotations[CHECKSUM] = json!(format!("!sha256:{}", "0".repeat(64)))),
    ("a table that is cut", |table, _| {
        let start = table.annotations[POSITION].as_str().unwrap().split(':').next().unwrap().to_owned();
        table.annotations[POSITION] = json!(format!("!{start}:99:10000:1"));
    }),
    ("a table elsewhere", |table, _| table.annotations[POSITION] = json!("!10:999:10000:1")),
];

#[test]
fn a_wrong_table_does_no_harm() {
    let Some(fixture) = Fixture::new(Xattrs::None, &[]) else { return };
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("archive");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    for (what, lie) in LIES {
        fixture.push_lie("3", lie);
        fixture.copy("first", "new");
        let pulled = fixture.pull(&front, 3);
        assert_eq!(pulled.way(), ("whole", "its table of contents is wrong"), "{what}");
        fixture.check();
    }
    fixture.push_lie("3", &|table, _| table.annotations[POSITION] = json!("!1:2:3"));
    fixture.copy("first", "new");
    assert_eq!(fixture.pull(&front, 3).way(), ("whole", "it is not zstd:chunked"));
    fixture.check();
}

impl Fixture {
    /// Pushes the second version with what `lie` makes of its index of objects, and without a table.
    fn push_index(&self, tag: &str, lie: &dyn Fn(&mut Vec<u8>)) {
        let mut manifest = self.manifest("2");
        let layer = &mut manifest["layers"][0];
        let place = layer["annotations"][OBJECTS].as_str().unwrap().to_owned();
        let numbers: Vec<usize> = place.split(':').take(3).map(|n| n.parse().unwrap()).collect();
        let (start, end) = (numbers[0], numbers[0] + numbers[1]);
        let mut blob = blob(self.server.address, layer["digest"].as_str().unwrap());
        let mut index = zstd::decode_all(&blob[start..end]).unwrap();
        lie(&mut index);
        let packed = zstd::encode_all(&index[..], 3).unwrap();
        blob.truncate(start - 4);
        blob.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        blob.extend(&packed);
        let registry = registry(&self.server.url(), "app", None);
        let digest = push_blob(&registry, &blob).unwrap();
        layer["digest"] = json!(format!("sha256:{digest}"));
        layer["size"] = json!(blob.len());
        let place = format!("{start}:{}:{}:{}", packed.len(), index.len(), Checksum::of(&packed));
        layer["annotations"] = json!({ OBJECTS: place });
        let bytes = serde_json::to_vec(&manifest).unwrap();
        registry.put_manifest(tag, MANIFEST, &bytes, &Ctx::default()).unwrap();
    }
}

pub(super) const OBJECTS: &str = "io.github.ostree-rs.objects";

#[test]
fn a_wrong_index_does_no_harm() {
    let Some(fixture) = Fixture::new(Xattrs::None, &[]) else { return };
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("archive");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    let pull = |lie: &dyn Fn(&mut Vec<u8>)| {
        fixture.push_index("3", lie);
        fixture.copy("first", "new");
        let pulled = fixture.pull(&front, 3);
        fixture.check();
        pulled
    };
    // The way in which it is changed here is right.
    assert_eq!(pull(&|_| {}).way().0, "objects");
    let wrong = ("whole", "its table of contents is wrong");
    assert_eq!(pull(&|index| index.truncate(index.len() / 2)).way(), wrong);
    assert_eq!(pull(&|index| index.push(0)).way(), wrong);
    assert_eq!(pull(&Vec::clear).way(), wrong);
    assert_eq!(pull(&|index| index[0] = 2).way(), wrong);
    // There are as many sets of xattrs as one can say, or pieces of one.
    assert_eq!(pull(&|index| drop(index.splice(1..2, [0xff; 9].into_iter().chain([1])))).way(), wrong);
    assert_eq!(pull(&|index| drop(index.splice(34..35, [0xff; 9].into_iter().chain([1])))).way(), wrong);
    // What is found at a wrong place, or with another owner or size, has another id.
    let mut wholes = 0;
    for at in 0..12 {
        let pulled = pull(&|index| {
            let at = 34 + (index.len() - 34) * at / 12;
            index[at] ^= 1 << (at % 7);
        });
        wholes += usize::from(pulled.way() == wrong);
    }
    assert!(wholes > 2, "{wholes} of 12 changed indexes were found to be wrong");
}
