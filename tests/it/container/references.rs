//! The grammar of image references; the cases are ostree-ext's.

use ostree_rs::container::image::{ImageReference, OstreeImageReference, SignatureSource, Transport};

#[test]
fn images() {
    for (text, transport, name) in [
        ("oci:somedir", Transport::OciDir, "somedir"),
        ("dir:/some/dir/blah", Transport::Dir, "/some/dir/blah"),
        ("oci-archive:/path/to/foo.ociarchive", Transport::OciArchive, "/path/to/foo.ociarchive"),
        ("docker-archive:/path/to/foo.tar", Transport::DockerArchive, "/path/to/foo.tar"),
        (
            "containers-storage:localhost/someimage:blah",
            Transport::ContainersStorage,
            "localhost/someimage:blah",
        ),
        ("docker-daemon:image:latest", Transport::DockerDaemon, "image:latest"),
        ("docker://quay.io/exampleos/blah:sometag", Transport::Registry, "quay.io/exampleos/blah:sometag"),
    ] {
        let image: ImageReference = text.parse().unwrap();
        assert_eq!((image.transport(), image.name()), (transport, name));
        assert_eq!(image.to_string(), text);
        assert_eq!(ImageReference::new(transport, name), Ok(image));
    }
    let image: ImageReference = "registry:quay.io/exampleos/blah".parse().unwrap();
    assert_eq!(image.to_string(), "docker://quay.io/exampleos/blah");

    for (text, offset) in [
        ("", 0),
        ("foo://", 0),
        ("docker:blah", 0),
        ("registry:", 9),
        ("foo:bar", 0),
        ("oci:", 4),
        ("oci::tag", 4),
        ("dir:a\0b", 5),
    ] {
        assert_eq!(text.parse::<ImageReference>().unwrap_err().offset, offset, "{text:?}");
    }
}

#[test]
fn paths_and_tags() {
    let split = |text: &str| {
        let image: ImageReference = text.parse().unwrap();
        image.path_and_tag().map(|(path, tag)| (path.to_owned(), tag.map(str::to_owned)))
    };
    assert_eq!(split("oci:/a/b"), Some(("/a/b".into(), None)));
    assert_eq!(split("oci:/a/b:c:d"), Some(("/a/b".into(), Some("c:d".into()))));
    assert_eq!(split("oci-archive:x.tar:"), Some(("x.tar".into(), None)));
    assert_eq!(split("dir:x:y"), Some(("x:y".into(), None)));
    assert_eq!(split("docker://x:y"), None);
}

#[test]
fn images_and_who_vouches_for_them() {
    let remote = || SignatureSource::OstreeRemote("myremote".parse().unwrap());
    for (text, signature, shown) in [
        (
            "ostree-remote-image:myremote:registry:quay.io/exampleos/blah",
            remote(),
            "ostree-remote-image:myremote:docker://quay.io/exampleos/blah",
        ),
        (
            "ostree-remote-registry:myremote:quay.io/exampleos/blah",
            remote(),
            "ostree-remote-image:myremote:docker://quay.io/exampleos/blah",
        ),
        (
            "ostree-image-signed:docker://quay.io/exampleos/blah",
            SignatureSource::ContainerPolicy,
            "ostree-image-signed:docker://quay.io/exampleos/blah",
        ),
        (
            "ostree-unverified-image:docker://quay.io/exampleos/blah",
            SignatureSource::Unverified,
            "ostree-unverified-registry:quay.io/exampleos/blah",
        ),
        (
            "ostree-unverified-registry:quay.io/exampleos/blah",
            SignatureSource::Unverified,
            "ostree-unverified-registry:quay.io/exampleos/blah",
        ),
    ] {
        let image: OstreeImageReference = text.parse().unwrap();
        assert_eq!(image.signature, signature);
        assert_eq!(image.image.to_string(), "docker://quay.io/exampleos/blah");
        assert_eq!(image.to_string(), shown);
        assert_eq!(shown.parse(), Ok(image));
    }
    let image: OstreeImageReference = "ostree-unverified-image:oci:/dir:tag".parse().unwrap();
    assert_eq!(image.to_string(), "ostree-unverified-image:oci:/dir:tag");

    for (text, offset) in [
        ("oci:/dir", 0),
        ("nothing", 7),
        ("ostree-remote-image:noimage", 27),
        ("ostree-unverified-image:foo:bar", 24),
        ("ostree-remote-registry:remote:", 30),
    ] {
        assert_eq!(text.parse::<OstreeImageReference>().unwrap_err().offset, offset, "{text:?}");
    }
}
