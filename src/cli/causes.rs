//! What an error is about, which is asked of it and of its causes.

use crate::base::{Cancelled, ErrorKind, Kind};
use crate::{container, host, remote, store, sysroot, tar, transfer};

/// An error in a row of causes.
pub(super) type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// The kind of the first error that has one.
pub(super) fn kind(error: &anyhow::Error) -> ErrorKind {
    fn of<E: Kind + std::error::Error + 'static>(cause: Cause<'_>) -> Option<ErrorKind> {
        cause.downcast_ref::<E>().map(Kind::kind)
    }
    let kind = |cause| {
        None.or_else(|| of::<host::Error>(cause))
            .or_else(|| of::<container::image::Error>(cause))
            .or_else(|| of::<tar::Error>(cause))
            .or_else(|| of::<transfer::pipe::Error>(cause))
            .or_else(|| of::<remote::Error>(cause))
            .or_else(|| of::<sysroot::Error>(cause))
            .or_else(|| of::<store::Error>(cause))
            .or_else(|| of::<std::io::Error>(cause))
            .or_else(|| of::<Cancelled>(cause))
    };
    error.chain().find_map(kind).unwrap_or(ErrorKind::Usage)
}

/// The error of a store that `cause` is, or passes on.
pub(super) fn store_error(cause: Cause<'_>) -> Option<&store::Error> {
    None.or_else(|| cause.downcast_ref())
        .or_else(|| cause.downcast_ref().and_then(host::Error::store))
        .or_else(|| cause.downcast_ref().and_then(container::image::Error::store))
        .or_else(|| cause.downcast_ref().and_then(tar::Error::store))
        .or_else(|| cause.downcast_ref().and_then(transfer::pipe::Error::store))
        .or_else(|| cause.downcast_ref().and_then(remote::Error::store))
}
