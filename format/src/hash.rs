//! SHA-256, in the fastest way that the processor has.
//!
//! ```text
//! one stream       SHA instructions             the crate sha2
//!                  none                         ring, whose AVX and SSSE3 code is a fifth to twice as fast as sha2
//!                                               (without the feature `ring`, or for other processors, sha2)
//! many streams     AVX-512 or AVX2, but no      16 or 8 side by side: see [`Streams`](crate::Streams)
//!                  SHA instructions
//!                  else                         one after another
//! ```
//! Built with `--cfg sha2_backend="soft"`, which sha2 knows, it is as if there were no SHA instructions: for
//! measurements, and then ring has to be kept from using them as well.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::checksum::Checksum;
use crate::lanes::Lanes;

/// A running SHA-256.
#[derive(Clone)]
pub struct Hasher(Running);

#[derive(Clone)]
enum Running {
    Portable(Sha256),
    #[cfg(feature = "ring")]
    Ring(ring::digest::Context),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        #[cfg(feature = "ring")]
        if !has_sha_instructions() {
            return Self(Running::Ring(ring::digest::Context::new(&ring::digest::SHA256)));
        }
        Self(Running::Portable(Sha256::new()))
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Running::Portable(hasher) => hasher.update(data),
            #[cfg(feature = "ring")]
            Running::Ring(hasher) => hasher.update(data),
        }
    }

    /// The checksum of everything added.
    pub fn finish(self) -> Checksum {
        match self.0 {
            Running::Portable(hasher) => Checksum::new(hasher.finalize().into()),
            #[cfg(feature = "ring")]
            Running::Ring(hasher) => {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(hasher.finish().as_ref());
                Checksum::new(bytes)
            }
        }
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Checksum {
    /// The checksum of `data`.
    pub fn of(data: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(data);
        hasher.finish()
    }
}

/// The lanes of this processor, where they are the fastest.
pub(crate) fn lanes() -> Option<Lanes> {
    if has_sha_instructions() { None } else { Lanes::detect() }
}

/// Whether the processor hashes a stream by itself.
fn has_sha_instructions() -> bool {
    if cfg!(sha2_backend = "soft") {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    // What sha2 has for others it has at all times.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return true;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each way of hashing makes of the same pieces is the same.
    #[test]
    fn every_way_gives_the_same() {
        let data: Vec<u8> = (0..1000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in (0..260).chain([511, 512, 513, 1000]) {
            let expected = Checksum::new(Sha256::digest(&data[..len]).into());
            let ways = [
                Running::Portable(Sha256::new()),
                #[cfg(feature = "ring")]
                Running::Ring(ring::digest::Context::new(&ring::digest::SHA256)),
            ];
            for way in ways {
                let mut hasher = Hasher(way);
                data[..len].chunks(37).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.finish(), expected, "{len}");
            }
            assert_eq!(Checksum::of(&data[..len]), expected);
        }
    }
}
