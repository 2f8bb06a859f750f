//! The boot loaders that a system root may be configured for, and the files that each of them wants.
