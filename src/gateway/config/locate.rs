//! From a byte offset in a configuration file to `FILE:LINE: FIELD: message`.
//!
//! Stands beside the parser and the validation: both know only spans, an operator wants the line and the key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// A configuration that cannot be used. Always the operator's fault; a retry without an edit never helps.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file itself cannot be read.
    #[error("{}: cannot be read ({source}); check the path and its permissions", file.display())]
    Unreadable {
        /// The configuration file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A key has a value that is wrong, is missing, or is not known.
    #[error("{}:{line}: {field}: {message}", file.display())]
    Field {
        /// The configuration file.
        file: PathBuf,
        /// Line of the field, from 1.
        line: usize,
        /// The key with its tables, e.g. `talkgroup.join`.
        field: String,
        /// What is wrong and what to do, one line.
        message: String,
    },
}

/// A remark about a configuration that works, but perhaps not as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line of the field, from 1.
    pub line: usize,
    /// The key with its tables.
    pub field: String,
    /// What may surprise, one line.
    pub message: String,
}

/// The text of one file, for turning spans into places.
pub(crate) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Line of a byte offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count()
    }

    /// An error at a place.
    pub(crate) fn error(&self, offset: usize, field: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError::Field { file: self.file.into(), line: self.line(offset), field: field.into(), message: message.into() }
    }

    /// A remark at a place.
    pub(crate) fn warning(&self, offset: usize, field: impl Into<String>, message: impl Into<String>) -> Warning {
        Warning { line: self.line(offset), field: field.into(), message: message.into() }
    }

    /// What the TOML reader said, with the key it is about.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let field = if let Some(name) = quoted_after(&message, "missing field `") {
            joined(self.table_at(&span), name)
        } else if let Some(name) = quoted_after(&message, "unknown field `") {
            joined(self.key_at(span.start), name)
        } else {
            let path = self.key_at(span.start);
            if path.is_empty() { "syntax".to_owned() } else { path.join(".") }
        };
        self.error(span.start, field, in_plain_words(&message))
    }

    /// Path of the innermost key whose key or value covers the offset; empty if none does or the text is not TOML.
    fn key_at(&self, offset: usize) -> Vec<String> {
        let mut best = Vec::new();
        if let Ok(table) = DeTable::parse(self.text) {
            search_table(table.get_ref(), offset, &mut Vec::new(), &mut best);
        }
        best
    }

    /// Path of the table with exactly that span; the whole file's is empty.
    fn table_at(&self, span: &Range<usize>) -> Vec<String> {
        let Ok(table) = DeTable::parse(self.text) else { return Vec::new() };
        owner(table.get_ref(), span).unwrap_or_default()
    }
}

/// Path of the table with exactly that span below a table.
fn owner(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    table.iter().find_map(|(key, value)| {
        let elements = value.get_ref().as_array().into_iter().flat_map(|array| array.iter());
        let below = std::iter::once(value).chain(elements).find_map(|value| {
            let table = value.get_ref().as_table()?;
            if value.span() == *span { Some(Vec::new()) } else { owner(table, span) }
        })?;
        Some(std::iter::once(key.get_ref().to_string()).chain(below).collect())
    })
}

/// The path with the name at its end, once.
fn joined(mut path: Vec<String>, name: &str) -> String {
    if path.last().is_none_or(|last| last != name) {
        path.push(name.to_owned());
    }
    path.join(".")
}

fn search_table(table: &DeTable<'_>, at: usize, path: &mut Vec<String>, best: &mut Vec<String>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if (key.span().contains(&at) || value.span().contains(&at)) && best.len() < path.len() {
            best.clone_from(path);
        }
        search_value(value.get_ref(), at, path, best);
        path.pop();
    }
}

fn search_value(value: &DeValue<'_>, at: usize, path: &mut Vec<String>, best: &mut Vec<String>) {
    if let Some(table) = value.as_table() {
        search_table(table, at, path, best);
    } else if let Some(array) = value.as_array() {
        array.iter().for_each(|element| search_value(element.get_ref(), at, path, best));
    }
}

/// The text between a prefix and the next back-tick.
fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.split('`').next()
}

/// Serde's words in those of an operator.
fn in_plain_words(message: &str) -> String {
    if let Some(name) = quoted_after(message, "unknown field `") {
        let known = message.split_once("expected ").map_or("", |(_, known)| known.trim_start_matches("one of ")).replace('`', "");
        return format!("unknown key '{name}'; remove it or use one of: {}", known.replace(" or ", ", "));
    }
    if let Some(name) = quoted_after(message, "missing field `") {
        return format!("missing; add {name} = ...");
    }
    message.replace('`', "'").replace("expected i64", "expected a whole number")
}
