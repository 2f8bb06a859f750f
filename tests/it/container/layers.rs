//! Layers: the same bytes on any number of threads, and nothing damaged gets through.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use oci_spec::image::{Descriptor, MediaType};
use ostree_rs::base::{Ctx, Event, Progress, WithCauses};
use ostree_rs::container::blob::{read_layer, write_layer};
use ostree_rs::container::image::{
    Compression, DiffId, Digest, Error, ImageDest, ImageSource, RawManifest, Result,
};
use ostree_rs::container::place::OciLayout;
use ostree_rs::format::Checksum;

use super::{blob_bytes, new_layout, noise, put_layer};
use crate::oracle;

const EVERY: [Compression; 5] =
    [Compression::None, Compression::GZIP, Compression::Gzip(1), Compression::ZSTD, Compression::Zstd(9)];

fn jobs(n: usize) -> Ctx {
    Ctx { jobs: NonZeroUsize::new(n).unwrap(), ..Ctx::default() }
}

/// Feeds `bytes` to a program and returns what it makes of them.
fn pipe(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        let mut out = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        assert!(child.wait().unwrap().success());
        out
    })
}

#[test]
fn the_number_of_threads_does_not_show() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    for len in [0, 1, 512 * 1024, 512 * 1024 + 1, 5_000_000] {
        let data = noise(len, 7);
        for compression in EVERY {
            let one = put_layer(&layout, compression, &data, &jobs(1));
            for n in [2, 5] {
                assert_eq!(put_layer(&layout, compression, &data, &jobs(n)), one, "{compression:?} {len}");
            }
            assert_eq!(one.diff_id, DiffId::new(Checksum::of(&data)));
            let blob = blob_bytes(&layout, &one, compression.media_type());
            assert_eq!(Digest::of(&blob), one.digest);
            let program = match compression {
                Compression::None => continue,
                Compression::Gzip(_) => "gzip",
                Compression::Zstd(_) | Compression::ZstdChunked(_) => "zstd",
            };
            if oracle::need(program) {
                assert!(pipe(program, &blob) == data, "{compression:?} {len}");
            }
        }
    }
}

/// A blob that comes in pieces of a few bytes, and breaks off behind so many.
struct Dribble {
    blob: Vec<u8>,
    breaks_at: Option<usize>,
}

impl ImageSource for Dribble {
    fn manifest(&self) -> Result<RawManifest> {
        Err(Error::Usage("no manifest".to_owned()))
    }

    fn blob(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let Self { blob, breaks_at } = self;
        let whole = io::Cursor::new(blob[..breaks_at.unwrap_or(blob.len())].to_vec());
        // The kind that a pipe gives whose other end is gone.
        let end: Box<dyn Read + Send> = match breaks_at {
            Some(_) => Box::new(Broken(io::ErrorKind::BrokenPipe)),
            None => Box::new(io::empty()),
        };
        Ok(Box::new(Pieces(whole.chain(end))))
    }
}

struct Pieces<R>(R);

impl<R: Read> Read for Pieces<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(1);
        self.0.read(&mut buf[..most])
    }
}

struct Broken(io::ErrorKind);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
}

#[test]
fn a_source_that_gives_a_byte_at_a_time_or_breaks_off() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let data = noise(3000, 5);
    for compression in EVERY {
        let layer = put_layer(&layout, compression, &data, &jobs(2));
        let blob = blob_bytes(&layout, &layer, compression.media_type());
        let descriptor = layer.digest.descriptor(compression.media_type(), layer.size_bytes).unwrap();
        let read = |breaks_at, consume: &dyn Fn(&mut dyn Read) -> Result<usize>| {
            let source = Dribble { blob: blob.clone(), breaks_at };
            read_layer(&source, &descriptor, &layer.diff_id, &jobs(1), consume)
        };
        let all = |stream: &mut dyn Read| Ok(stream.read_to_end(&mut Vec::new()).unwrap());
        let nothing = |_: &mut dyn Read| Ok(0);
        assert_eq!(read(None, &all).unwrap(), data.len(), "{compression:?}");
        // Wherever it breaks, even behind the last byte, it was not seen to be whole.
        for at in [0, 1, 5, blob.len() / 2, blob.len() - 1, blob.len()] {
            for consume in [&all as &dyn Fn(&mut dyn Read) -> Result<usize>, &nothing] {
                let error = read(Some(at), consume).unwrap_err();
                let Error::Layer { source, .. } = &error else { panic!("{error}") };
                assert_eq!(source.kind(), io::ErrorKind::BrokenPipe, "{compression:?} at {at}");
            }
        }
        // What the consumer says of a good layer is what counts, and it need not be read to its end for that.
        let full = |_: &mut dyn Read| Err(Error::Usage("full".to_owned()));
        assert!(matches!(read(Some(blob.len() / 2), &full), Err(Error::Usage(_) | Error::Layer { .. })));
        assert!(matches!(read(None, &full), Err(Error::Usage(_))));
    }
}

/// podman and docker look at the bytes, too, whatever the media type says: several streams are one.
#[test]
fn bzip2_and_xz_are_read_where_gzip_was_promised() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let data = noise(300_000, 3);
    let part = temp.path().join("part");
    for program in ["xz", "bzip2"] {
        if !oracle::need(program) {
            continue;
        }
        let mut blob = Vec::new();
        for bytes in [&data[..100_000], &data[100_000..]] {
            std::fs::write(&part, bytes).unwrap();
            blob.extend(Command::new(program).arg("-c").arg(&part).output().unwrap().stdout);
        }
        let read = |blob: &[u8]| read_blob(&layout, blob, MediaType::ImageLayerGzip, &data);
        assert!(read(&blob).unwrap() == data, "{program}");
        assert!(matches!(read(&blob[..blob.len() - 30]), Err(Error::Layer { .. })), "{program}");
        // bzip2 itself passes over what stands behind a stream, xz does not.
        match read(&[&blob[..], b"garbage"].concat()) {
            Ok(read) => assert!(program == "bzip2" && read == data),
            Err(error) => assert_eq!(program, "xz", "{error}"),
        }
        let said =
            read_blob(&layout, &blob, MediaType::from("application/vnd.oci.image.layer.v1.tar+xz"), &data);
        assert!(matches!(said, Err(Error::Unsupported(_))), "{program}");
    }
}

#[test]
fn what_no_layer_is_compressed_by_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let error = read_blob(&layout, &[0x04, 0x22, 0x4d, 0x18, 0], MediaType::ImageLayerGzip, b"").unwrap_err();
    assert!(WithCauses(&error).to_string().contains("lz4"), "{error}");
}

/// A blob that was damaged on the way is called that, not an odd stream.
#[test]
fn a_damaged_blob_is_named_before_its_stream() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let layer = put_layer(&layout, Compression::GZIP, &noise(400_000, 2), &jobs(1));
    let media_type = Compression::GZIP.media_type();
    let descriptor = layer.digest.descriptor(media_type.clone(), layer.size_bytes).unwrap();
    let whole = blob_bytes(&layout, &layer, media_type);
    let mut flipped = whole.clone();
    flipped[5000] ^= 0x55;
    for (blob, is_size) in [(flipped, false), (whole[..whole.len() - 9].to_vec(), true)] {
        let source = Dribble { blob, breaks_at: None };
        let error = read_layer(&source, &descriptor, &layer.diff_id, &jobs(1), |_| Ok(())).unwrap_err();
        match error {
            Error::Size { .. } => assert!(is_size, "{error}"),
            Error::Mismatch { .. } => assert!(!is_size, "{error}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn another_format_than_the_media_type_says_is_noted() {
    struct Notes(Mutex<Vec<String>>);
    impl Progress for Notes {
        fn event(&self, event: Event<'_>) {
            if let Event::Note { text } = event {
                self.0.lock().unwrap().push(text.to_owned());
            }
        }
    }
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let layer = put_layer(&layout, Compression::ZSTD, b"data", &jobs(1));
    for (media_type, notes) in [(MediaType::ImageLayerZstd, 0), (MediaType::ImageLayerGzip, 1)] {
        let progress = Arc::new(Notes(Mutex::default()));
        let ctx = Ctx { progress: progress.clone(), ..jobs(1) };
        let descriptor = layer.digest.descriptor(media_type, layer.size_bytes).unwrap();
        read_layer(&layout, &descriptor, &layer.diff_id, &ctx, |_| Ok(())).unwrap();
        let said = progress.0.lock().unwrap();
        assert_eq!(said.len(), notes, "{said:?}");
        assert!(said.iter().all(|text| text.contains("zstd, not gzip")), "{said:?}");
    }
}

/// Stores `blob` under its own digest and reads it as a layer.
fn read_blob(layout: &OciLayout, blob: &[u8], media_type: MediaType, content: &[u8]) -> Result<Vec<u8>> {
    let digest = Digest::of(blob);
    let mut writer = layout.new_blob().unwrap();
    writer.write_all(blob).unwrap();
    writer.finish(&digest, blob.len() as u64).unwrap();
    let descriptor = digest.descriptor(media_type, blob.len() as u64).unwrap();
    let diff_id = DiffId::new(Checksum::of(content));
    let mut out = Vec::new();
    read_layer(layout, &descriptor, &diff_id, &jobs(2), |stream| {
        stream.read_to_end(&mut out).map_err(|e| Error::Usage(e.to_string()))?;
        Ok(())
    })?;
    Ok(out)
}

#[test]
fn streams_of_several_parts() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let data = noise(1_500_000, 9);
    let (a, b) = data.split_at(600_000);
    for (compression, media_type) in [
        (Compression::GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (Compression::ZSTD, "application/vnd.oci.image.layer.v1.tar+zstd"),
    ] {
        let mut blob = Vec::new();
        for part in [a, b] {
            let layer = put_layer(&layout, compression, part, &jobs(2));
            blob.extend(blob_bytes(&layout, &layer, compression.media_type()));
        }
        let read = |blob: &[u8]| read_blob(&layout, blob, MediaType::from(media_type), &data);
        assert!(read(&blob).unwrap() == data);
        // Cut short, or followed by anything else, zeros included.
        assert!(matches!(read(&blob[..blob.len() - 1]), Err(Error::Layer { .. })), "{media_type}");
        assert!(matches!(read(&blob[..blob.len() / 2]), Err(Error::Layer { .. })), "{media_type}");
        for tail in [&b"garbage"[..], &[0], &[0; 512]] {
            assert!(matches!(read(&[&blob, tail].concat()), Err(Error::Layer { .. })), "{media_type}");
        }
        // The bytes decide, not the media type.
        for other in EVERY.map(Compression::media_type) {
            assert!(read_blob(&layout, &blob, other, &data).unwrap() == data);
        }
        assert!(matches!(
            read_blob(&layout, &blob, MediaType::ImageConfig, &data),
            Err(Error::Unsupported(_))
        ));
        assert!(matches!(
            read_blob(&layout, &blob, MediaType::from(media_type), b"other"),
            Err(Error::DiffIdMismatch { .. })
        ));
    }
    // The window of this frame is 64 MiB: more than a layer may ask for.
    let huge_window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x80, 0x01, 0x00, 0x00];
    assert!(matches!(
        read_blob(&layout, &huge_window, MediaType::ImageLayerZstd, b""),
        Err(Error::Layer { .. })
    ));
}

#[test]
fn every_flipped_byte_is_found() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let data = noise(3000, 11);
    for compression in EVERY {
        let layer = put_layer(&layout, compression, &data, &jobs(2));
        let media_type = compression.media_type();
        let blob = blob_bytes(&layout, &layer, media_type.clone());
        let path = temp.path().join("blobs/sha256").join(layer.digest.checksum().to_string());
        let descriptor = layer.digest.descriptor(media_type, layer.size_bytes).unwrap();
        for at in 0..blob.len() {
            let mut flipped = blob.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, &flipped).unwrap();
            let result = read_layer(&layout, &descriptor, &layer.diff_id, &jobs(1), |stream| {
                // A consumer that reads less than all of it.
                stream.read_exact(&mut [0; 100]).ok();
                Ok(())
            });
            let named = match result.unwrap_err() {
                Error::Layer { layer, .. } => layer,
                Error::Mismatch { expected, .. } => expected,
                other => panic!("{other}"),
            };
            assert_eq!(named, layer.digest);
        }
    }
}

#[test]
fn what_fails_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    for compression in EVERY {
        let result: Result<((), _)> = write_layer(&layout, compression, &jobs(2), |out| {
            out.write_all(&noise(2_000_000, 13)).unwrap();
            Err(Error::Usage("enough".to_owned()))
        });
        assert!(matches!(result, Err(Error::Usage(why)) if why == "enough"));
    }
    let ctx = jobs(2);
    ctx.cancel.cancel();
    let result: Result<((), _)> = write_layer(&layout, Compression::GZIP, &ctx, |out| {
        out.write_all(&noise(2_000_000, 13)).map_err(|e| Error::Usage(e.to_string()))
    });
    assert!(matches!(result, Err(Error::Cancelled(_))));
    assert_eq!(std::fs::read_dir(temp.path().join("blobs/sha256")).unwrap().count(), 0);
    assert!(matches!(
        write_layer(&layout, Compression::Gzip(10), &jobs(1), |_| Ok(())),
        Err(Error::Usage(_))
    ));
}
