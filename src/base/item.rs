//! Named things that are under way at the same time, such as the layers of an image.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Ctx, Event, Outcome};

/// Items have numbers of their own, since names may come again.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// An item under way, which reports to the progress of a [`Ctx`]. Dropped before [`Item::done`], it has
/// failed.
#[derive(Debug)]
pub struct Item<'a> {
    ctx: &'a Ctx,
    id: u64,
    name: String,
    outcome: Outcome,
}

impl<'a> Item<'a> {
    /// Begins an item, with its size where that is known.
    pub fn start(ctx: &'a Ctx, name: impl Into<String>, bytes: Option<u64>) -> Self {
        let (id, name) = (NEXT_ID.fetch_add(1, Ordering::Relaxed), name.into());
        ctx.progress.event(Event::ItemStart { id, name: &name, bytes });
        Self { ctx, id, name, outcome: Outcome::Failed }
    }

    /// Reports an item that was there already.
    pub fn reused(ctx: &Ctx, name: impl Into<String>, bytes: u64) {
        let mut item = Item::start(ctx, name, Some(bytes));
        item.outcome = Outcome::Reused;
    }

    /// Reports that more bytes of the item were moved.
    pub fn advance(&self, bytes: u64) {
        self.ctx.progress.event(Event::ItemAdvance { id: self.id, bytes });
    }

    /// Ends the item: it was moved as a whole.
    pub fn done(mut self) {
        self.outcome = Outcome::Done;
    }

    /// Ends the item as [`Item::done`], under a name that only now is known.
    pub fn done_as(mut self, name: impl Into<String>) {
        self.name = name.into();
        self.done();
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.ctx.progress.event(Event::ItemEnd { id: self.id, name: &self.name, outcome: self.outcome });
    }
}
