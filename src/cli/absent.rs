//! Commands that the peers have and this program does not: what to use instead.

/// The group, the verb in it, and what is said of it.
const ABSENT: &[(&str, &str, &str)] = &[
    ("", "ima-sign", "ostree-ext's `ostree-ext-cli ima-sign` makes IMA signatures"),
    (
        "",
        "provisional-repair",
        "`fsck` finds what is damaged; ostree-ext's `ostree-ext-cli` repairs deployments",
    ),
];

/// What is said of a verb that only the peers have; `group` is the innermost one that it was looked for in.
pub(crate) fn advice(group: Option<&str>, verb: &str) -> Option<&'static str> {
    let group = group.unwrap_or_default();
    let found = ABSENT.iter().find(|(of, absent, _)| (*of, *absent) == (group, verb));
    found.map(|(_, _, advice)| *advice)
}
