//! The program: see `ostree_rs::cli`.

fn main() {}
