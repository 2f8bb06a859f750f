//! What a machine tells its local network of a repository that it serves: the TXT record of a DNS-SD service.
//!
//! ```text
//! _ostree_repo._tcp    host, port, and:
//!   v    y             1
//!   rb   (yyay)        the refs: how many hashes each, which kind of hash (1: SipHash), the bits of a Bloom filter
//!   st   t             when the summary was written, in seconds since 1970, big endian
//!   ri   q             big endian: the repository is at http://HOST:PORT/ri
//! ```
//! Nobody vouches for it: it says which machine to ask, and the answers are verified. Source: libostree
//! ostree-repo-finder-avahi.c, ostree-bloom.c.

use std::hash::Hasher as _;

use crate::{CollectionId, ParseError, RefName, Result};

/// What is being read, for errors.
const WHAT: &str = "repository advert";
const VERSION: u8 = 1;
/// The kind of hash: SipHash-2-4 of the collection's id and of the ref's name, each keyed by sixteen times the number of
/// the hash, combined by exclusive or.
const SIP_HASH: u8 = 1;

/// A repository of another machine, as that machine tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoAdvert {
    /// The refs that may be there.
    pub refs: RefFilter,
    /// The time at which the summary was written, in seconds since 1970.
    pub summary_secs: u64,
    /// The number of the repository among those of the machine.
    pub index: u16,
}

impl RepoAdvert {
    /// The type of the DNS-SD service.
    pub const SERVICE: &str = "_ostree_repo._tcp";

    /// Reads the entries of a TXT record. The first of a name counts, in letters of any case; others are passed over.
    ///
    /// # Errors
    /// If an entry is missing or has not the size of its type, or the version or the kind of hash is another one.
    pub fn from_txt<'a>(entries: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Result<Self> {
        let mut found: [(&str, Option<&[u8]>); 4] = ["v", "rb", "st", "ri"].map(|name| (name, None));
        for (name, value) in entries {
            if let Some((_, place)) = found.iter_mut().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
                // One without a value hides those behind it, and is no value.
                *place = place.or(Some(value.unwrap_or_default()));
            }
        }
        let [version, refs, secs, index] = found.map(|(name, value)| {
            value.ok_or_else(|| ParseError::invalid(WHAT, 0, format!("'{name}' is missing")))
        });
        if version? != [VERSION] {
            return Err(ParseError::invalid(WHAT, 0, "'v' is not 1"));
        }
        Ok(Self {
            refs: RefFilter::parse(refs?)?,
            summary_secs: u64::from_be_bytes(fixed("st", secs?)?),
            index: u16::from_be_bytes(fixed("ri", index?)?),
        })
    }

    /// The entries of the TXT record.
    pub fn to_txt(&self) -> [(&'static str, Vec<u8>); 4] {
        [
            ("v", vec![VERSION]),
            ("rb", self.refs.to_bytes()),
            ("st", self.summary_secs.to_be_bytes().to_vec()),
            ("ri", self.index.to_be_bytes().to_vec()),
        ]
    }
}

/// A Bloom filter of refs of collections: what was put in is found again, and a few others with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefFilter {
    hashes: u8,
    bits: Vec<u8>,
}

impl RefFilter {
    /// An empty filter of so many bytes, in which each ref sets as many bits as it has `hashes`; at least one of each.
    pub fn new(bytes: u8, hashes: u8) -> Self {
        Self { hashes: hashes.max(1), bits: vec![0; usize::from(bytes.max(1))] }
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        match bytes {
            [0, ..] => Err(ParseError::invalid(WHAT, 0, "'rb' has no hashes")),
            [hashes, SIP_HASH, bits @ ..] if !bits.is_empty() => {
                Ok(Self { hashes: *hashes, bits: bits.to_vec() })
            }
            [_, kind, _, ..] => Err(ParseError::invalid(WHAT, 1, format!("'rb' has hashes of kind {kind}"))),
            _ => Err(ParseError::invalid(WHAT, 0, "'rb' is too short")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&[self.hashes, SIP_HASH][..], &self.bits].concat()
    }

    /// Puts a ref in.
    pub fn insert(&mut self, id: &CollectionId, name: &RefName) {
        for number in 0..self.hashes {
            let (byte, bit) = self.place(number, id, name);
            self.bits[byte] |= bit;
        }
    }

    /// Whether a ref may have been put in; if not, it was not.
    pub fn may_have(&self, id: &CollectionId, name: &RefName) -> bool {
        (0..self.hashes).all(|number| {
            let (byte, bit) = self.place(number, id, name);
            self.bits[byte] & bit != 0
        })
    }

    /// The byte and the bit in it that stand for one of the hashes of a ref.
    fn place(&self, number: u8, id: &CollectionId, name: &RefName) -> (usize, u8) {
        let hash = sip_hash(number, id.as_str()) ^ sip_hash(number, name.as_str());
        let bit = hash % (self.bits.len() as u64 * 8);
        // Below the number of bytes, which is a usize.
        ((bit / 8) as usize, 1 << (bit % 8))
    }
}

#[expect(deprecated, reason = "as a hash for maps; here another program says that it is SipHash-2-4")]
fn sip_hash(number: u8, text: &str) -> u64 {
    let key = u64::from_le_bytes([number; 8]);
    let mut hasher = std::hash::SipHasher::new_with_keys(key, key);
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn fixed<const N: usize>(name: &str, bytes: &[u8]) -> Result<[u8; N]> {
    let wrong = || ParseError::invalid(WHAT, 0, format!("'{name}' has {} bytes, not {N}", bytes.len()));
    bytes.try_into().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

    const GOOD: [(&str, Option<&[u8]>); 4] = [
        ("v", Some(&[1])),
        ("rb", Some(&[3, 1, 0xff, 0])),
        ("st", Some(&[0, 0, 0, 0, 0x65, 0x92, 0, 0x80])),
        ("ri", Some(&[1, 2])),
    ];

    #[test]
    fn entries_are_found_by_their_names() {
        let advert = RepoAdvert::from_txt(GOOD).unwrap();
        assert_eq!((advert.summary_secs, advert.index), (1_704_067_200, 258));
        let back = advert.to_txt();
        let back = back.iter().map(|(name, value)| (*name, Some(&value[..])));
        assert!(back.clone().eq(GOOD));
        let others: [(&str, Option<&[u8]>); 2] = [("x", None), ("RI", Some(&[9, 9]))];
        assert_eq!(RepoAdvert::from_txt(back.chain(others)), Ok(advert.clone()));
        let upper: Entries = GOOD.into_iter().rev().chain([("V", Some(&[2][..]))]).collect();
        assert_eq!(RepoAdvert::from_txt(upper), Ok(advert));
    }

    #[test]
    fn whatever_is_wrong_is_told() {
        let wrong: [(usize, Option<&[u8]>, &str); 11] = [
            (0, None, "'v' is not 1"),
            (0, Some(&[2]), "'v' is not 1"),
            (0, Some(&[1, 0]), "'v' is not 1"),
            (1, Some(&[]), "'rb' is too short"),
            (1, Some(&[3, 1]), "'rb' is too short"),
            (1, Some(&[0, 1, 0xff]), "'rb' has no hashes"),
            (1, Some(&[3, 2, 0xff]), "'rb' has hashes of kind 2"),
            (2, Some(&[0; 7]), "'st' has 7 bytes, not 8"),
            (2, Some(&[0; 9]), "'st' has 9 bytes, not 8"),
            (3, Some(&[0]), "'ri' has 1 bytes, not 2"),
            (3, None, "'ri' has 0 bytes, not 2"),
        ];
        for (at, value, why) in wrong {
            let mut entries = GOOD;
            entries[at].1 = value;
            let error = RepoAdvert::from_txt(entries).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        for at in 0..GOOD.len() {
            let mut entries = GOOD.to_vec();
            let (name, _) = entries.remove(at);
            let error = RepoAdvert::from_txt(entries).unwrap_err().to_string();
            assert!(error.contains(&format!("'{name}' is missing")), "{error}");
        }
    }

    /// Of the paper on SipHash, appendix A: the key is 00 to 0f there, and equal bytes here, so it is the hasher itself
    /// that is tried.
    #[test]
    #[expect(deprecated, reason = "as a hash for maps")]
    fn it_is_sip_hash_2_4() {
        let (low, high) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let mut hasher = std::hash::SipHasher::new_with_keys(low, high);
        hasher.write(&std::array::from_fn::<u8, 15, _>(|n| n as u8));
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn what_was_put_in_is_found_again() {
        let mut filter = RefFilter::new(250, 8);
        let (id, other): (CollectionId, CollectionId) =
            ("org.example.Os".parse().unwrap(), "org.example.Other".parse().unwrap());
        let name = |n: u32| format!("os/x86_64/{n}").parse::<RefName>().unwrap();
        assert!((0..100).all(|n| !filter.may_have(&id, &name(n))));
        (0..100).for_each(|n| filter.insert(&id, &name(n)));
        assert!((0..100).all(|n| filter.may_have(&id, &name(n))));
        // Of 2000 bits not even 800 are set: one of 1,500 is found that was not put in.
        let found = (0..1000).filter(|n| filter.may_have(&other, &name(*n))).count();
        assert!(found < 10, "{found}");
        assert_eq!(RefFilter::parse(&filter.to_bytes()), Ok(filter));
    }
}
