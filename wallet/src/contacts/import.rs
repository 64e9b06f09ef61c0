//! Reads contacts from a file of lines `name,address`, or from the `contacts.toml` of another wallet. Every mistake in it
//! is found, not only the first.

use std::{collections::BTreeMap, fmt};

use farthing::Address;
use serde::Deserialize;
use toml::Spanned;

use crate::name::Name;

/// Most mistakes that are told one by one.
const MAX_TOLD: usize = 50;

/// A line that is not a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// All lines of a file that are not contacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLines(pub Vec<BadLine>);

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bad) in self.0.iter().take(MAX_TOLD).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}line {}: {}", bad.line, bad.why)?;
        }
        match self.0.len().checked_sub(MAX_TOLD) {
            Some(more @ 1..) => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BadLines {}

/// A contact in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The number of its line, from 1.
    pub line: usize,
    /// Its name.
    pub name: Name,
    /// Its address.
    pub address: Address,
}

#[derive(Deserialize)]
struct Table {
    contacts: BTreeMap<String, Spanned<String>>,
}

/// Reads a file's text; `address` reads an address of the wallet's network, or says why it is none.
///
/// # Errors
/// All lines that are wrong.
pub fn read(text: &str, address: &dyn Fn(&str) -> Result<Address, String>) -> Result<Vec<Found>, BadLines> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_toml = text.lines().any(|line| line.trim() == "[contacts]");
    let rows = if is_toml { of_toml(text)? } else { of_lines(text) };
    let (mut found, mut bad) = (Vec::<Found>::new(), Vec::new());
    for (line, row) in rows {
        let contact = row.and_then(|(name, text)| {
            let name: Name = name.parse().map_err(|error: crate::name::NameError| error.to_string())?;
            Ok(Found { line, name, address: address(&text)? })
        });
        match contact {
            Ok(contact) => match found.iter().find(|earlier| earlier.name == contact.name) {
                Some(earlier) if earlier.address != contact.address => {
                    let why = format!("{:?} has another address in line {}", contact.name, earlier.line);
                    bad.push(BadLine { line, why });
                }
                Some(_) => {}
                None => found.push(contact),
            },
            Err(why) => bad.push(BadLine { line, why }),
        }
    }
    if bad.is_empty() { Ok(found) } else { Err(BadLines(bad)) }
}

type Row = (usize, Result<(String, String), String>);

fn of_lines(text: &str) -> Vec<Row> {
    let field = |text: &str| text.trim().trim_matches('"').trim().to_owned();
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.trim();
        let is_heading = rows.is_empty() && content.to_lowercase().replace([' ', '"'], "").starts_with("name,address");
        if content.is_empty() || content.starts_with('#') || is_heading {
            continue;
        }
        let row = match content.split(',').collect::<Vec<_>>()[..] {
            [name, address] => Ok((field(name), field(address))),
            ref fields => Err(format!("{} fields, expected two: name,address", fields.len())),
        };
        rows.push((index + 1, row));
    }
    rows
}

fn of_toml(text: &str) -> Result<Vec<Row>, BadLines> {
    let line_of = |offset: usize| text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
    let table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        BadLines(vec![BadLine { line, why: error.message().to_owned() }])
    })?;
    let row =
        |(name, address): (String, Spanned<String>)| (line_of(address.span().start), Ok((name, address.into_inner())));
    let mut rows: Vec<Row> = table.contacts.into_iter().map(row).collect();
    rows.sort_by_key(|(line, _)| *line);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses are numbers here.
    fn read_numbers(text: &str) -> Result<Vec<Found>, BadLines> {
        read(text, &|text| text.parse().map(|byte| Address::from_bytes([byte; 32])).map_err(|_| format!("bad {text}")))
    }

    fn found(text: &str) -> Vec<(usize, String, u8)> {
        let contact = |found: Found| (found.line, String::from(found.name), found.address.as_bytes()[0]);
        read_numbers(text).unwrap().into_iter().map(contact).collect()
    }

    #[test]
    fn lines_may_have_a_heading_comments_quotes_and_repetitions() {
        let text = "\u{feff}Name, Address\r\n# friends\r\nann,1\r\n\r\n \"ben\" , \"2\"\r\nann,1\r\n";
        assert_eq!(found(text), [(3, "ann".into(), 1), (5, "ben".into(), 2)]);
        assert_eq!(found(""), []);
    }

    #[test]
    fn the_contacts_of_another_wallet_are_read() {
        assert_eq!(found("[contacts]\nben = \"2\"\nann = \"1\"\n"), [(2, "ben".into(), 2), (3, "ann".into(), 1)]);
    }

    #[test]
    fn every_bad_line_is_told() {
        let bad = read_numbers("ann,1\nBen,2\ncarl\ndora,x\nann,9\n").unwrap_err();
        assert_eq!(bad.0.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        let text = bad.to_string();
        assert!(text.contains("line 3: 1 fields") && text.contains("another address in line 1"), "{text}");
        assert_eq!(read_numbers("[contacts]\nann = 1\n").unwrap_err().0[0].line, 2);
        assert_eq!(read_numbers("[contacts]\nann = \"x\"\nBen = \"2\"\n").unwrap_err().0.len(), 2);
        let many = read_numbers(&"x\n".repeat(MAX_TOLD + 3)).unwrap_err().to_string();
        assert!(many.ends_with("; and 3 more"), "{many}");
    }
}
