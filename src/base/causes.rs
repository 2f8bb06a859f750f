//! Errors with what caused them.

use std::error::Error;
use std::fmt;

/// An error as one line of text: what it says, and behind it what each of its causes says, with `": "` between them.
///
/// The text of an error leaves it to [`Error::source`] to tell the cause, for printers that walk through causes by
/// themselves. This is for every other place that takes one text.
///
/// ```
/// use ostree_rs::base::WithCauses;
/// use ostree_rs::store::Error;
///
/// let error = Error::io("open", "config", std::io::Error::other("the disk is gone"));
/// assert_eq!(error.to_string(), "open config");
/// assert_eq!(WithCauses(&error).to_string(), "open config: the disk is gone");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct WithCauses<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        causes(self.0).skip(1).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// An error and its causes, the outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}
