//! What is linked into a static program besides crates: Rust's standard library and the C runtime.

use std::fs;
use std::path::PathBuf;

use crate::crates::output;

/// Names and notices of what is found here; of what is not, where its notice is.
pub(crate) fn texts() -> anyhow::Result<Vec<(String, String)>> {
    let sysroot = PathBuf::from(output("rustc", &["--print", "sysroot"])?.trim());
    let rust = sysroot.join("share/doc/rust/COPYRIGHT-library.html");
    let gcc = output("cc", &["-dumpversion"])?;
    let gcc =
        format!("/usr/share/doc/libgcc-{}-dev/copyright", gcc.split('.').next().unwrap_or_default().trim());
    let parts = [
        ("Rust's standard library: MIT OR Apache-2.0", rust, "https://github.com/rust-lang/rust"),
        (
            "The GNU C library: LGPL-2.1-or-later",
            "/usr/share/doc/libc6-dev/copyright".into(),
            "https://sourceware.org/glibc",
        ),
        ("GCC's runtime: GPL-3.0-or-later WITH GCC-exception-3.1", gcc.into(), "https://gcc.gnu.org"),
    ];
    let read = |(name, path, home): (&str, PathBuf, &str)| {
        let text = fs::read_to_string(&path).map(|text| match path.extension() {
            Some(_) => without_tags(&text),
            None => text,
        });
        (
            name.to_owned(),
            text.unwrap_or_else(|_| format!("See {home}; no notice lies on the machine of this build.")),
        )
    };
    Ok(parts.map(read).into())
}

/// The text of an HTML page.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_tag, after)| after));
    }
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}
