//! The program; everything is in [`ostree_rs::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ostree_rs::cli::main(std::env::args_os())
}
