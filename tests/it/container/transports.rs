//! Registries, `dir:` and `docker-archive:`, compared with skopeo.

use std::fs::File;
use std::path::Path;

use oci_spec::image::{Arch, ImageConfiguration, ImageManifest, MediaType, Os, PlatformBuilder};
use ostree_rs::base::Ctx;
use ostree_rs::container::blob::read_layer;
use ostree_rs::container::config::registries::Endpoint;
use ostree_rs::container::image::{
    Compression, Digest, Error, ImageDest, ImageSource, RawManifest, RepositoryName, read_json,
};
use ostree_rs::container::place::{
    CopyOptions, DirImage, DockerArchive, DockerArchiveWriter, ManifestFormat, OciArchiveWriter, OciLayout,
    OnePlatform, RegistryDest, RegistryImage, RegistryPlace, copy,
};
use ostree_rs::net::HttpOptions;

use super::{dir, new_layout, noise, put_image};
use crate::oracle;
use crate::proxy::{Faults, Proxy};
use crate::registry::server::{Login, Server, Speech};

fn place(address: &str, path: &str) -> RegistryPlace {
    let endpoint = Endpoint { host: address.into(), path: path.into(), insecure: true };
    RegistryPlace { endpoint, http: HttpOptions::default(), credentials: None }
}

fn open(name: &str) -> Result<RegistryImage, Error> {
    let name: RepositoryName = name.parse().unwrap();
    RegistryImage::open(&[place(&name.host, &name.path)], &name, &Ctx::default()).map(|(image, _)| image)
}

fn create(name: &str, mount_from: &[String]) -> RegistryDest {
    let name: RepositoryName = name.parse().unwrap();
    RegistryDest::open(&place(&name.host, &name.path), &name, mount_from, &Ctx::default()).unwrap()
}

fn skopeo(args: &[&str]) -> Vec<u8> {
    oracle::run("skopeo", &[&["--insecure-policy"], args].concat())
}

fn skopeo_copy(from: &str, to: &str, more: &[&str]) {
    let tls = ["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(&[&tls, more, &[from, to]].concat());
}

/// The content of the first layer, verified by all its digests.
fn content(source: &dyn ImageSource) -> Result<Vec<u8>, Error> {
    let raw = source.manifest()?;
    let manifest: ImageManifest = serde_json::from_slice(&raw.bytes).unwrap();
    let config: ImageConfiguration = read_json(source, "config", manifest.config())?;
    let diff_id = config.rootfs().diff_ids()[0].parse().unwrap();
    let mut content = Vec::new();
    read_layer(source, &manifest.layers()[0], &diff_id, &Ctx::default(), |stream| {
        stream.read_to_end(&mut content).map_err(|source| Error::Io {
            op: "read",
            path: "layer".into(),
            source,
        })
    })?;
    Ok(content)
}

/// A tar archive whose layers are larger than a chunk.
fn tar(seed: u64) -> Vec<u8> {
    super::small_tar(&noise(12_000_000, seed))
}

#[test]
fn images_go_round_all_transports() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("skopeo") {
        return;
    }
    let (temp, tar, ctx) = (tempfile::tempdir().unwrap(), tar(1), Ctx::default());
    let path = |name: &str| temp.path().join(name);
    let at = |transport: &str, name: &str| format!("{transport}:{}", path(name).display());
    let keep = CopyOptions::default();

    // We push, skopeo reads.
    let layout = new_layout(&path("layout"), Some("gz"));
    let (manifest, _) = put_image(&layout, Compression::None, &tar);
    let name = format!("{}/org/app:1", server.address);
    let copied = copy(&layout, &create(&name, &[]), &keep, &ctx).unwrap();
    assert_eq!((copied.manifest, copied.sent, copied.reused), (manifest.digest, 2, 0));
    let raw = skopeo(&["inspect", "--tls-verify=false", "--raw", &format!("docker://{name}")]);
    assert_eq!(raw, manifest.bytes);
    skopeo_copy(&format!("docker://{name}"), &at("oci", "theirs:x"), &[]);
    assert_eq!(content(&OciLayout::open(dir(&path("theirs")), Some("x")).unwrap()).unwrap(), tar);
    // Nothing is sent twice, and blobs of a neighbour are mounted.
    let copied = copy(&layout, &create(&name, &[]), &keep, &ctx).unwrap();
    assert_eq!((copied.sent, copied.reused), (0, 2));
    let neighbour = create(&format!("{}/neighbour", server.address), &["org/app".into()]);
    assert_eq!(copy(&layout, &neighbour, &keep, &ctx).unwrap().sent, 0);

    // We pull, by tag and by digest.
    let pulled = open(&name).unwrap();
    assert_eq!(content(&pulled).unwrap(), tar);
    let pinned = format!("{}/org/app@{}", server.address, manifest.digest);
    assert_eq!(open(&pinned).unwrap().manifest().unwrap().bytes, manifest.bytes);

    // dir: in both directions.
    std::fs::create_dir(path("ours-dir")).unwrap();
    copy(&pulled, &DirImage::create(dir(&path("ours-dir"))).unwrap(), &keep, &ctx).unwrap();
    skopeo_copy(&at("dir", "ours-dir"), &at("dir", "their-dir"), &[]);
    let names = |name: &str| {
        let mut names: Vec<_> = path(name).read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("ours-dir"), names("their-dir"));
    assert_eq!(content(&DirImage::open(dir(&path("their-dir"))).unwrap()).unwrap(), tar);

    // docker-archive: in both directions, and with docker's media types into an archive of a layout.
    let ours =
        DockerArchiveWriter::create(&dir(temp.path()), Path::new("ours.tar"), Some("org/app:1")).unwrap();
    copy(&pulled, &ours, &keep, &ctx).unwrap();
    ours.finish().unwrap();
    skopeo_copy(
        &at("docker-archive", "ours.tar:org/app:1"),
        &at("docker-archive", "theirs.tar:org/app:2"),
        &[],
    );
    let theirs = || DockerArchive::open(File::open(path("theirs.tar")).unwrap(), Some("org/app:2"));
    assert_eq!(content(&theirs().unwrap()).unwrap(), tar);
    let wrong = DockerArchive::open(File::open(path("theirs.tar")).unwrap(), Some("org/app:3"));
    assert!(matches!(wrong, Err(Error::TagNotFound { .. })));
    let oci = OciArchiveWriter::create(&dir(temp.path()), Path::new("oci.tar"), Some("x")).unwrap();
    copy(&theirs().unwrap(), &oci, &CopyOptions { format: ManifestFormat::Oci, ..keep.clone() }, &ctx)
        .unwrap();
    oci.finish().unwrap();
    skopeo_copy(&at("oci-archive", "oci.tar:x"), &at("oci", "again:x"), &[]);
    assert_eq!(content(&OciLayout::open(dir(&path("again")), Some("x")).unwrap()).unwrap(), tar);

    // skopeo pushes in docker's format, we pull.
    let docker = format!("{}/docker:1", server.address);
    skopeo_copy(&at("oci", "layout:gz"), &format!("docker://{docker}"), &["--format", "v2s2"]);
    let pulled = open(&docker).unwrap();
    assert!(pulled.manifest().unwrap().media_type.as_ref().contains("docker"));
    assert_eq!(content(&pulled).unwrap(), tar);
}

/// An image for two machines, and one for a third.
#[test]
fn platforms_are_chosen() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let temp = tempfile::tempdir().unwrap();
    let name = |tag: &str| format!("{}/app:{tag}", server.address);
    let mut entries = Vec::new();
    for (arch, variant, seed) in
        [(Arch::Amd64, None, 1), (Arch::ARM, Some("v7"), 2), (Arch::ARM, Some("v6"), 3)]
    {
        let tar = super::small_tar(&noise(1000, seed));
        let (raw, _) = put_image(&create(&name(&seed.to_string()), &[]), Compression::GZIP, &tar);
        let mut platform = PlatformBuilder::default().os(Os::Linux).architecture(arch);
        if let Some(variant) = variant {
            platform = platform.variant(variant);
        }
        let mut entry = raw.digest.descriptor(raw.media_type, raw.bytes.len() as u64).unwrap();
        entry.set_platform(Some(platform.build().unwrap()));
        entries.push(entry);
    }
    for media_type in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ] {
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
        let bytes = serde_json::to_vec(&index).unwrap();
        let raw = RawManifest { digest: Digest::of(&bytes), media_type: MediaType::from(media_type), bytes };
        create(&name("all"), &[]).put_manifest(&raw, None).unwrap();
        for (platform, seed) in [
            ("linux/amd64", 1),
            ("linux/x86_64", 1),
            ("linux/arm/v7", 2),
            ("linux/arm/v6", 3),
            ("linux/arm", 2),
        ] {
            let image = OnePlatform::new(open(&name("all")).unwrap(), platform.parse().unwrap());
            assert_eq!(content(&image).unwrap(), super::small_tar(&noise(1000, seed)), "{platform}");
        }
        let image = OnePlatform::new(open(&name("all")).unwrap(), "linux/s390x".parse().unwrap());
        assert!(matches!(image.manifest(), Err(Error::Unsupported(_))));
        let layout = new_layout(temp.path(), Some("x"));
        let error = copy(&open(&name("all")).unwrap(), &layout, &CopyOptions::default(), &Ctx::default());
        assert!(matches!(error, Err(Error::Usage(_))));
    }
}

#[test]
fn what_is_damaged_on_the_way_is_refused() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let image = create(&format!("{}/app:1", server.address), &[]);
    let (manifest, layer) = put_image(&image, Compression::None, &tar(1));
    let pinned = |address: &dyn std::fmt::Display| format!("{address}/app@{}", manifest.digest);

    // Somewhere in the layer; the configuration and the manifest are shorter.
    let proxy = Proxy::start(server.address, Faults { corrupt_at: Some(900_000), ..Faults::default() });
    let error = content(&open(&pinned(&proxy.address)).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Mismatch { expected, .. } if expected == layer.digest), "{error}");

    // In the manifest, or in the headers before it.
    let mut refused = 0;
    for at in (400..1200).step_by(50) {
        let proxy = Proxy::start(server.address, Faults { corrupt_at: Some(at), ..Faults::default() });
        match open(&pinned(&proxy.address)) {
            Ok(image) => assert_eq!(image.manifest().unwrap().bytes, manifest.bytes),
            Err(Error::Mismatch { what: "manifest", expected, .. }) if expected == manifest.digest => {
                refused += 1
            }
            Err(_) => {}
        }
    }
    assert!(refused > 3);

    // What a mirror damages, the registry itself may have whole.
    let ctx = Ctx::default();
    let name: RepositoryName = pinned(&server.address).parse().unwrap();
    let places = [place(&server.address.to_string(), "none"), place(&server.address.to_string(), "app")];
    assert!(content(&RegistryImage::open(&places, &name, &ctx).unwrap().0).is_ok());
}

#[test]
fn a_push_survives_a_registry_that_forgets() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (temp, tar) = (tempfile::tempdir().unwrap(), tar(1));
    let layout = new_layout(temp.path(), Some("x"));
    put_image(&layout, Compression::None, &tar);
    // A part of the layer always arrives; the line gets better with every connection.
    let proxy = Proxy::start(server.address, Faults { cut_first: Some(3), ..Faults::default() });
    let name = format!("{}/app:1", proxy.address);
    copy(&layout, &create(&name, &[]), &CopyOptions::default(), &Ctx::default()).unwrap();
    assert_eq!(content(&open(&format!("{}/app:1", server.address)).unwrap()).unwrap(), tar);
}
