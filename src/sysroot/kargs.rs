//! The kernel's command line as an ordered list of keys and values.
//!
//! ```text
//! root=UUID=abc  quiet  console=tty0  console=ttyS0  test="1 2"
//! key   value    key    key     value (twice)        the quotes belong to the value
//! ```
//! A key may stand there several times, with and without a value. What each operation does with that is what
//! libostree does (`ostree-kernel-args.c`): machines have scripts that count on it.

use std::fmt;

use crate::base::{ErrorKind, Kind};

/// What boot loaders add to the running kernel's command line, which the next boot gets anew: GRUB, systemd-boot.
const ADDED_BY_BOOT_LOADERS: [&str; 2] = ["BOOT_IMAGE=", "initrd="];

/// A kernel's command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelArgs {
    args: Vec<Arg>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Arg {
    key: String,
    /// `None` of `quiet`, empty of `quiet=`.
    value: Option<String>,
}

/// Why arguments cannot be changed or deleted as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelArgsError {
    /// No argument has this key.
    #[error("No key '{0}' found")]
    NoKey(String),
    /// The key is there, with other values.
    #[error("No karg '{0}' found")]
    NoValue(String),
    /// Several arguments have this key, and which one is meant was not said.
    #[error("Multiple values for key '{0}' found")]
    Ambiguous(String),
}

impl Kind for KernelArgsError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Usage
    }
}

impl KernelArgs {
    /// The arguments of a command line. Blanks separate them, except within double quotes; a quote that nothing
    /// closes reaches to the end.
    pub fn parse(line: &str) -> Self {
        let mut args = Self::default();
        args.append(line);
        args
    }

    /// Adds arguments, separated by blanks, at the end.
    pub fn append(&mut self, args: &str) {
        self.args.extend(split(args).map(Arg::parse));
    }

    /// Adds the arguments of the running kernel (`/proc/cmdline`), without those that boot loaders add by themselves.
    pub fn append_running(&mut self, cmdline: &str) {
        for arg in split(cmdline.trim_end()) {
            if !ADDED_BY_BOOT_LOADERS.iter().any(|prefix| arg.starts_with(prefix)) {
                self.append(arg);
            }
        }
    }

    /// Adds arguments unless the key of the first of them is there, whatever its value.
    pub fn append_if_missing(&mut self, args: &str) {
        if !self.contains(args) {
            self.append(args);
        }
    }

    /// Lets `arg` be the only argument with its key, in the place of the first of them; at the end if there was none.
    pub fn replace(&mut self, arg: &str) {
        let new = Arg::parse(arg);
        let place = self.args.iter().position(|old| old.key == new.key).unwrap_or(self.args.len());
        self.args.retain(|old| old.key != new.key);
        self.args.insert(place, new);
    }

    /// Gives arguments that are there other values: `key=old=new` the one that has the old value, `key=new` and `key`
    /// the only one with this key.
    ///
    /// # Errors
    /// A key or old value is not there, or a key has several values; arguments before that one are changed already.
    pub fn change(&mut self, args: &str) -> Result<(), KernelArgsError> {
        for arg in split(args) {
            let Arg { key, value } = Arg::parse(arg);
            let (first, only) = self.first(&key).ok_or_else(|| KernelArgsError::NoKey(key.clone()))?;
            let place = match value.as_deref().and_then(|value| value.split_once('=')) {
                Some((old, _)) => self
                    .place_of(&key, Some(old))
                    .ok_or_else(|| KernelArgsError::NoValue(format!("{key}={old}")))?,
                None if !only => return Err(KernelArgsError::Ambiguous(key)),
                None => first,
            };
            let new =
                value.map(|value| value.split_once('=').map(|(_, new)| new.to_owned()).unwrap_or(value));
            self.args[place].value = new;
        }
        Ok(())
    }

    /// Deletes arguments: `key=value` the first one that is the same, `key` the one without a value or else the only
    /// one with this key.
    ///
    /// # Errors
    /// An argument is not there, or a key has several values; arguments before that one are deleted already.
    pub fn delete(&mut self, args: &str) -> Result<(), KernelArgsError> {
        for arg in split(args) {
            let Arg { key, value } = Arg::parse(arg);
            let (first, only) = self.first(&key).ok_or_else(|| KernelArgsError::NoKey(key.clone()))?;
            let place = match (&value, self.place_of(&key, value.as_deref())) {
                (_, Some(place)) => place,
                (None, None) if only => first,
                (None, None) => return Err(KernelArgsError::Ambiguous(arg.to_owned())),
                (Some(_), None) => return Err(KernelArgsError::NoValue(arg.to_owned())),
            };
            self.args.remove(place);
        }
        Ok(())
    }

    /// Deletes arguments if the key of the first of them is there.
    ///
    /// # Errors
    /// As [`KernelArgs::delete`]; also if the key is there with another value only.
    pub fn delete_if_present(&mut self, args: &str) -> Result<(), KernelArgsError> {
        if self.contains(args) { self.delete(args) } else { Ok(()) }
    }

    /// Whether an argument has the key of `arg`, whatever its value.
    pub fn contains(&self, arg: &str) -> bool {
        self.first(&Arg::parse(arg).key).is_some()
    }

    /// The value of the last argument with this key, which is the one that most parts of the kernel go by. `None` if
    /// there is none, or if it has no value.
    pub fn last_value(&self, key: &str) -> Option<&str> {
        let last = self.args.iter().rev().find(|arg| arg.key == key)?;
        last.value.as_deref()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.args.iter().map(|arg| (&*arg.key, arg.value.as_deref()))
    }

    /// The arguments one by one, as they stand in the command line.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.args.iter().map(ToString::to_string)
    }

    /// Whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// The place of the first argument with this key, and whether it is the only one.
    fn first(&self, key: &str) -> Option<(usize, bool)> {
        let first = self.args.iter().position(|arg| arg.key == key)?;
        Some((first, !self.args[first + 1..].iter().any(|arg| arg.key == key)))
    }

    fn place_of(&self, key: &str, value: Option<&str>) -> Option<usize> {
        self.args.iter().position(|arg| arg.key == key && arg.value.as_deref() == value)
    }
}

impl Arg {
    fn parse(arg: &str) -> Self {
        match arg.split_once('=') {
            Some((key, value)) => Self { key: key.to_owned(), value: Some(value.to_owned()) },
            None => Self { key: arg.to_owned(), value: None },
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl fmt::Display for KernelArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, arg) in self.args.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{arg}")?;
        }
        Ok(())
    }
}

/// The parts between blanks that stand outside of quotes.
fn split(args: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = args.split(move |c| {
        quoted ^= c == '"';
        c == ' ' && !quoted
    });
    parts.filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(line: &str, args: &str) -> Result<String, KernelArgsError> {
        let mut kargs = KernelArgs::parse(line);
        kargs.delete(args)?;
        Ok(kargs.to_string())
    }

    fn changed(line: &str, args: &str) -> Result<String, KernelArgsError> {
        let mut kargs = KernelArgs::parse(line);
        kargs.change(args)?;
        Ok(kargs.to_string())
    }

    fn ok(text: &str) -> Result<String, KernelArgsError> {
        Ok(text.to_owned())
    }

    #[test]
    fn lines_are_split_at_blanks_outside_of_quotes() {
        let split = |line| split(line).collect::<Vec<_>>();
        assert_eq!(split(r#" root=UUID=abc test="a b" rw "#), ["root=UUID=abc", r#"test="a b""#, "rw"]);
        // GRUB puts the quotes around the whole argument.
        assert_eq!(split(r#"quiet "test=a b" rw"#), ["quiet", r#""test=a b""#, "rw"]);
        assert_eq!(split(r#"quiet test="a b rw "#), ["quiet", r#"test="a b rw "#]);
        assert_eq!(split("a  b"), ["a", "b"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("  "), [""; 0]);
    }

    #[test]
    fn arguments_are_appended_with_and_without_values() {
        let mut kargs = KernelArgs::parse("test=valid test=secondvalid test= test second_test");
        kargs.append(r#"second_test=0  second_test="1 2""#);
        let expected =
            r#"test=valid test=secondvalid test= test second_test second_test=0 second_test="1 2""#;
        assert_eq!(kargs.to_string(), expected);
        assert_eq!(kargs.last_value("second_test"), Some(r#""1 2""#));
        assert_eq!(kargs.last_value("test"), None);
        assert_eq!(kargs.iter().nth(2), Some(("test", Some(""))));
        kargs.append_if_missing("test=other");
        kargs.append_if_missing("new=1 more");
        assert_eq!(kargs.to_string(), format!("{expected} new=1 more"));
    }

    #[test]
    fn what_boot_loaders_add_is_not_taken_from_the_running_kernel() {
        let mut kargs = KernelArgs::default();
        kargs.append_running("BOOT_IMAGE=/vmlinuz initrd=\\x root=/dev/sda1 test=\"a initrd=b\"\n");
        assert_eq!(kargs.to_string(), r#"root=/dev/sda1 test="a initrd=b""#);
    }

    #[test]
    fn replacing_puts_one_argument_in_the_place_of_all_with_its_key() {
        let mut kargs = KernelArgs::parse("a=1 b=1 c b=2 b");
        kargs.replace("b=3");
        assert_eq!(kargs.to_string(), "a=1 b=3 c");
        kargs.replace("c");
        kargs.replace("d=x=y");
        assert_eq!(kargs.to_string(), "a=1 b=3 c d=x=y");
    }

    #[test]
    fn deleting_needs_to_know_which_one() {
        use KernelArgsError::{Ambiguous, NoKey, NoValue};
        let line = "single_key=test test=firstval test=secondval test= test";
        assert_eq!(deleted(line, "nokey"), Err(NoKey("nokey".into())));
        assert_eq!(deleted(line, "test"), ok("single_key=test test=firstval test=secondval test="));
        assert_eq!(deleted("test=a test=b", "test"), Err(Ambiguous("test".into())));
        assert_eq!(deleted(line, "test=other"), Err(NoValue("test=other".into())));
        assert_eq!(deleted(line, "single_key=other"), Err(NoValue("single_key=other".into())));
        assert_eq!(deleted(line, "single_key"), ok("test=firstval test=secondval test= test"));
        assert_eq!(deleted(line, "test="), ok("single_key=test test=firstval test=secondval test"));
        assert_eq!(deleted("test=foo test=foo", "test=foo"), ok("test=foo"));
        assert_eq!(deleted("nosmt nosmt", "nosmt"), ok("nosmt"));
        assert_eq!(deleted(r#"foo="1 2" a bar=0"#, r#"foo="1 2" bar=0"#), ok("a"));
    }

    #[test]
    fn deleting_what_may_be_absent() {
        let mut kargs = KernelArgs::parse("a=1 b");
        assert_eq!(kargs.delete_if_present("c"), Ok(()));
        assert_eq!(kargs.delete_if_present("a=2"), Err(KernelArgsError::NoValue("a=2".into())));
        assert_eq!(kargs.delete_if_present("b"), Ok(()));
        assert_eq!(kargs.to_string(), "a=1");
    }

    #[test]
    fn changing_needs_to_know_which_one() {
        use KernelArgsError::{Ambiguous, NoKey, NoValue};
        let line = "single_key test=firstval test=secondval";
        assert_eq!(changed(line, "nokey"), Err(NoKey("nokey".into())));
        assert_eq!(changed(line, "single_key=no=new"), Err(NoValue("single_key=no".into())));
        assert_eq!(changed(line, "test=new"), Err(Ambiguous("test".into())));
        assert_eq!(changed(line, "single_key=new"), ok("single_key=new test=firstval test=secondval"));
        assert_eq!(changed(line, "test=firstval=new"), ok("single_key test=new test=secondval"));
        assert_eq!(changed("foo=1 bar=2", r#"foo="1 2" bar"#), ok(r#"foo="1 2" bar"#));
        assert_eq!(changed("foo=1", "foo=1=a=b"), ok("foo=a=b"));
    }

    proptest::proptest! {
        #[test]
        fn a_line_of_whole_arguments_comes_back(line in r#"([a-c](=([a-c0-2]{0,2}|"[ab ]{0,3}"))?( [a-c](=[0-2]?)?){0,4})?"#) {
            let kargs = KernelArgs::parse(&line);
            assert_eq!(kargs.to_string(), line);
            assert_eq!(KernelArgs::parse(&kargs.to_string()), kargs);
        }

        #[test]
        fn what_was_appended_can_be_deleted(line in "([a-c](=[0-2]?)?){0,1}( [a-c](=[0-2]?)?){0,4}", arg in "[a-c](=[0-2]?)?") {
            let before = KernelArgs::parse(&line);
            let mut kargs = before.clone();
            kargs.append(&arg);
            kargs.delete(&arg).unwrap();
            // An equal argument before it goes first; the rest is the same.
            let sorted = |kargs: &KernelArgs| {
                let mut args: Vec<_> = kargs.iter().map(|(k, v)| (k.to_owned(), v.map(str::to_owned))).collect();
                args.sort();
                args
            };
            assert_eq!(sorted(&kargs), sorted(&before));
        }
    }
}
