//! HTML out of typed pieces: names of tags are part of this program, and everything else is escaped.

use std::fmt::Write;

/// A piece of HTML.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// A path on this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url(String);

impl Url {
    /// The path with these parts, whatever is in them.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut url = String::new();
        for part in parts {
            url.push('/');
            for byte in part.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    url.push(char::from(byte));
                } else {
                    // Writing into a string does not fail.
                    let _ = write!(url, "%{byte:02X}");
                }
            }
        }
        Self(if url.is_empty() { "/".to_owned() } else { url })
    }
}

impl Html {
    /// Appends text.
    pub(super) fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                '\'' => self.0 += "&#39;",
                '\n' => self.0.push('\n'),
                // What would not be seen, or would turn the rest of the line around.
                hidden if hidden.is_control() || is_directing(hidden) => {
                    let _ = write!(self.0, "<i>\\u{{{:x}}}</i>", u32::from(hidden));
                }
                letter => self.0.push(letter),
            }
        }
    }

    /// Appends an element.
    pub(super) fn tag(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &str)],
        inner: impl FnOnce(&mut Self),
    ) {
        self.void(name, attributes);
        inner(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// Appends an element that holds a text.
    pub(super) fn word(&mut self, name: &'static str, text: &str) {
        self.tag(name, &[], |html| html.text(text));
    }

    /// Appends an element that has no end, such as `meta`.
    pub(super) fn void(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        let _ = write!(self.0, "<{name}");
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"");
            for letter in value.chars() {
                match letter {
                    '&' => self.0 += "&amp;",
                    '"' => self.0 += "&quot;",
                    '<' => self.0 += "&lt;",
                    letter => self.0.push(letter),
                }
            }
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// Appends a link.
    pub(super) fn link(&mut self, to: &Url, text: &str) {
        self.tag("a", &[("href", &to.0)], |html| html.text(text));
    }

    /// Appends another piece.
    pub(super) fn append(&mut self, other: Self) {
        self.0 += &other.0;
    }

    /// The document.
    pub(super) fn into_document(self) -> String {
        format!("<!doctype html>\n{}\n", self.0)
    }
}

/// Whether a letter changes the direction of what follows.
fn is_directing(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let mut html = Html::default();
        html.tag("p", &[("title", "a\"b<c>&")], |html| html.text("<script>'x'&\"\u{202e}\u{7}"));
        html.link(&Url::of(["tree", "a b", "<\"&#?%/ä"]), "&");
        assert_eq!(
            html.0,
            "<p title=\"a&quot;b&lt;c>&amp;\">&lt;script&gt;&#39;x&#39;&amp;&quot;<i>\\u{202e}</i><i>\\u{7}</i></p>\
             <a href=\"/tree/a%20b/%3C%22%26%23%3F%25%2F%C3%A4\">&amp;</a>"
        );
        assert_eq!(Url::of([]).0, "/");
    }
}
