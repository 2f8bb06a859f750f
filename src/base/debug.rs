//! `Debug` for types with fields that have none: closures, streams, sources of others.

/// Implements `Debug` for a struct by those of its fields that tell what it is, or for an enum by the name of the variant:
/// `debug_fields!(Located<S> { place })`, `debug_fields!(enum Origin<'a> { Server, Directory })`.
macro_rules! debug_fields {
    ($name:ident $(<$($arg:tt),+>)? { $($field:ident),* }) => {
        impl $(<$($arg),+>)? std::fmt::Debug for $name $(<$($arg),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    };
    (enum $name:ident $(<$($arg:tt),+>)? { $($variant:ident),+ $(,)? }) => {
        impl $(<$($arg),+>)? std::fmt::Debug for $name $(<$($arg),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                })
            }
        }
    };
}
pub(crate) use debug_fields;
