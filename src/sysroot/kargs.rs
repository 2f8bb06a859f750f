//! The kernel's command line as an ordered list of keys and values.
