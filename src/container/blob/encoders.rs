//! Encoders of zstd that are used again: each has threads and some ten megabytes, which the allocator would keep
//! for the threads of every layer.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zstd::stream::raw::{CParameter, Encoder, Operation};
use zstd::stream::zio;

/// What one thread of zstd compresses at a time. Part of the format: another value gives other bytes.
const JOB_BYTES: u32 = 2 << 20;
/// How much of the job before is looked at: an eighth of the window. All of it costs 10 % more time for 1 % fewer
/// bytes.
const OVERLAP_LOG: u32 = 6;

/// Encoders that are free; clones share them.
#[derive(Clone, Default)]
pub(in crate::container) struct Encoders(Arc<Mutex<Vec<Idle>>>);

struct Idle {
    settings: Settings,
    encoder: Encoder<'static>,
}

/// What an encoder is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) struct Settings {
    pub(in crate::container) level: i32,
    /// The output is the same for any number.
    pub(in crate::container) threads: usize,
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoders")
    }
}

impl Encoders {
    /// Writes one frame to `out`, of what `write` writes.
    pub(in crate::container) fn frame<W: Write>(
        &self,
        settings: Settings,
        out: W,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut writer = zio::Writer::new(out, self.take(settings)?);
        write(&mut writer)?;
        writer.finish()?;
        let encoder = writer.into_inner().1;
        self.lock().push(Idle { settings, encoder });
        Ok(())
    }

    fn take(&self, settings: Settings) -> io::Result<Encoder<'static>> {
        let mut idle = self.lock();
        let found = idle.iter().position(|idle| idle.settings == settings);
        if let Some(found) = found {
            let mut encoder = idle.swap_remove(found).encoder;
            encoder.reinit()?;
            return Ok(encoder);
        }
        let mut encoder = Encoder::new(settings.level)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        // Zstd's own threads also where there is just one: without them it gives other bytes.
        encoder.set_parameter(CParameter::NbWorkers(u32::try_from(settings.threads).unwrap_or(1)))?;
        encoder.set_parameter(CParameter::JobSize(JOB_BYTES))?;
        encoder.set_parameter(CParameter::OverlapSizeLog(OVERLAP_LOG))?;
        Ok(encoder)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
