//! The images that earlier pulls brought: a hint in the store's cache, so that deltas which begin with them are found.
//!
//! ```text
//! COMMIT CONFIGURATION LAYER …\n     the commit with all files of an image, the digest of its configuration, and the
//!                                    diffids of its layers; the newest pull first
//! ```
//! Each is 64 hexadecimal digits. Nothing rests on a line: what a delta makes out of the commit's files has to have the
//! diffid that the new image promises. Images of the image store are known without.

use std::iter;

use ostree_format::{Checksum, CommitId};

use crate::container::delta::OldImage;
use crate::container::image::{DiffId, Digest, Image, Result};
use crate::container::pull::hint::{self, is_marked_complete};
use crate::container::store;
use crate::store::Txn;

/// The file in the cache.
const FILE: &str = "ostree-rs-images";
/// The number of images that are remembered.
const MAX_IMAGES: usize = 64;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::container) struct PulledImages(Vec<OldImage>);

impl PulledImages {
    /// What the store remembers; nothing, if the file is not exactly as one is written.
    pub(in crate::container) fn read(txn: &dyn Txn) -> Self {
        hint::read(txn, FILE).and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        hint::parse(text, MAX_IMAGES, of_line).map(Self)
    }

    /// Newer pulls have precedence over older ones if the file cannot hold all.
    fn to_text(&self) -> String {
        hint::to_text(self.0.iter().map(to_line))
    }

    /// The images whose files are here: those of the file, and those of the image store.
    ///
    /// # Errors
    /// If refs cannot be read.
    pub(in crate::container::pull) fn usable(self, txn: &dyn Txn) -> Result<Vec<OldImage>> {
        let mut usable = self.0;
        for name in store::list(txn)? {
            // What cannot be read is of no use here.
            let stored = store::query(txn, &name).ok().flatten();
            usable.extend(stored.and_then(|stored| old_image(&stored.image, stored.commit).ok()));
        }
        usable.retain(|image| is_marked_complete(txn, &image.commit));
        Ok(usable)
    }

    /// Notes that `image` was pulled, and that `commit` has its files. Images whose commits are not there any more are
    /// forgotten.
    ///
    /// # Errors
    /// [`Error::Image`](crate::container::image::Error::Image) if the documents of the image contradict themselves.
    pub(in crate::container) fn note(self, image: &Image, commit: CommitId, txn: &dyn Txn) -> Result<()> {
        let Some(hints) = txn.hints() else { return Ok(()) };
        let first = old_image(image, commit)?;
        let others = self
            .0
            .iter()
            .filter(|other| other.config != first.config && is_marked_complete(txn, &other.commit));
        let new = Self(iter::once(&first).chain(others).take(MAX_IMAGES).cloned().collect());
        if new != self {
            hints.set_cached(FILE, new.to_text().into_bytes());
        }
        Ok(())
    }
}

fn old_image(image: &Image, commit: CommitId) -> Result<OldImage> {
    let config = Digest::of_descriptor(image.manifest.config())?;
    Ok(OldImage { commit, config, layers: image.layers()?.iter().map(|layer| layer.diff_id).collect() })
}

fn of_line(line: &[Checksum]) -> Option<OldImage> {
    let [commit, config, layers @ ..] = line else { return None };
    let layers = layers.iter().copied().map(DiffId::new).collect();
    Some(OldImage { commit: CommitId::new(*commit), config: Digest::new(*config), layers })
}

fn to_line(image: &OldImage) -> impl Iterator<Item = Checksum> {
    let layers = image.layers.iter().map(|layer| *layer.checksum());
    [*image.commit.checksum(), *image.config.checksum()].into_iter().chain(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: char) -> String {
        String::from(digit).repeat(64)
    }

    #[test]
    fn text_and_back() {
        let text = format!("{} {}\n{} {} {}\n", hex('a'), hex('0'), hex('b'), hex('1'), hex('0'));
        let images = PulledImages::parse(&text).unwrap();
        assert_eq!(images.0.iter().map(|image| image.layers.len()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(images.to_text(), text);
        assert_eq!(PulledImages::parse(""), Some(PulledImages::default()));
    }

    #[test]
    fn what_is_not_exactly_right_says_nothing() {
        let line = format!("{} {}\n", hex('a'), hex('0'));
        for text in [
            "\n".to_owned(),
            line.trim_end().to_owned(),
            line.replace(' ', "  "),
            line.replace('\n', " \n"),
            line.replace('a', "A"),
            line[1..].to_owned(),
            format!("{}\n", hex('a')),
            format!("{line}\n"),
            line.repeat(MAX_IMAGES + 1),
        ] {
            assert_eq!(PulledImages::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_fits_is_written() {
        let checksum = Checksum::of(b"");
        let image = |layers: usize| OldImage {
            commit: CommitId::new(checksum),
            config: Digest::new(checksum),
            layers: vec![DiffId::new(checksum); layers],
        };
        let text = PulledImages(vec![image(1), image(20_000), image(200)]).to_text();
        let read = PulledImages::parse(&text).unwrap();
        assert_eq!(read.0.iter().map(|image| image.layers.len()).collect::<Vec<_>>(), [1, 200]);
    }
}
