//! Floor 1: what everything above uses.

mod ctx;

pub use ctx::{Cancel, Cancelled, Ctx, Event, Progress, Silent};
