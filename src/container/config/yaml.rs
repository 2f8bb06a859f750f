//! The form of registries.d: the first document of a YAML file, as podman reads it.

use std::collections::BTreeMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, StrInput};

/// Far more than any file has.
const MAX_DEPTH: usize = 64;

/// A node of a document; what an alias stands for is shared, never copied.
#[derive(Debug)]
pub(in crate::container) struct Node {
    /// The number of the line where it begins, from 1 on.
    pub(in crate::container) line: usize,
    pub(in crate::container) value: NodeValue,
}

#[derive(Debug)]
pub(in crate::container) enum NodeValue {
    /// Nothing, or null.
    Null,
    Scalar(String),
    Mapping(BTreeMap<String, Rc<Node>>),
    List(Vec<Rc<Node>>),
}

/// The number of the line that is not understood, and why.
type Result<T> = std::result::Result<T, (usize, String)>;

/// The root of the first document; `None` if there is nothing in it.
///
/// # Errors
/// The number of the line that is not understood, or whose key stood there before, and why.
pub(in crate::container) fn document(text: &str) -> Result<Option<Rc<Node>>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: BTreeMap::new() };
    while let Some((event, _)) = reader.next()? {
        if let Event::DocumentStart(..) = event {
            return reader.node(0);
        }
    }
    Ok(None)
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// What aliases may stand for, by the parser's numbers.
    anchors: BTreeMap<usize, Rc<Node>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, usize)>> {
        let event = self.events.next().transpose().map_err(|e| (e.marker().line(), e.info()))?;
        Ok(event.map(|(event, span)| (event, span.start.line())))
    }

    /// The node that comes next; `None` at the end of what it would stand in.
    fn node(&mut self, depth: usize) -> Result<Option<Rc<Node>>> {
        let Some((event, line)) = self.next()? else { return Ok(None) };
        if depth > MAX_DEPTH {
            return Err((line, format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_null = tag.is_none() && style == ScalarStyle::Plain && is_null(&text);
                (anchor, if is_null { NodeValue::Null } else { NodeValue::Scalar(text.into_owned()) })
            }
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(depth)?),
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(depth)?),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).map(Rc::clone);
                return node.map(Some).ok_or_else(|| (line, "an alias of what it stands in".into()));
            }
            _ => return Ok(None),
        };
        let node = Rc::new(Node { line, value });
        self.anchors.insert(anchor, Rc::clone(&node));
        Ok(Some(node))
    }

    fn mapping(&mut self, depth: usize) -> Result<NodeValue> {
        let (mut out, mut merged) = (BTreeMap::new(), Vec::new());
        while let Some(key) = self.node(depth + 1)? {
            let line = key.line;
            let key = match &key.value {
                NodeValue::Null => String::new(),
                NodeValue::Scalar(key) => key.clone(),
                _ => return Err((line, "a key is a word, no list or mapping".into())),
            };
            let Some(value) = self.node(depth + 1)? else { break };
            if key == "<<" {
                merged.push(value);
            } else if out.insert(key.clone(), value).is_some() {
                return Err((line, format!("{key:?} stands there twice")));
            }
        }
        merged.iter().for_each(|node| merge(&mut out, node));
        Ok(NodeValue::Mapping(out))
    }

    fn list(&mut self, depth: usize) -> Result<NodeValue> {
        let mut out = Vec::new();
        while let Some(item) = self.node(depth + 1)? {
            out.push(item);
        }
        Ok(NodeValue::List(out))
    }
}

/// Adds the keys of a mapping, or of each in a list, that are not there yet.
fn merge(into: &mut BTreeMap<String, Rc<Node>>, from: &Node) {
    match &from.value {
        NodeValue::Mapping(keys) => {
            for (key, value) in keys {
                into.entry(key.clone()).or_insert_with(|| Rc::clone(value));
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| merge(into, item)),
        NodeValue::Null | NodeValue::Scalar(_) => {}
    }
}

fn is_null(plain: &str) -> bool {
    matches!(plain, "" | "~" | "null" | "Null" | "NULL")
}
