//! What docs/api/errors.md says of each reason.

use std::collections::BTreeSet;

use tonic::Code;

const PAGE: &str = include_str!("../../../../docs/api/errors.md");

/// A row of the table of reasons.
#[derive(Debug)]
pub(super) struct Documented {
    pub(super) reason: String,
    pub(super) code: String,
    /// The names that come together; more than one set where it depends.
    metadata: Vec<BTreeSet<String>>,
}

/// The cells of the rows below a heading.
fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let section = PAGE.split(heading).nth(1).expect("the page has the heading").split("\n## ").next();
    let rows = section.unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The table of reasons.
pub(super) fn reasons() -> Vec<Documented> {
    let read = |cells: Vec<&str>| {
        let [reason, code, meaning, metadata, to_do] = cells[..] else { panic!("five cells expected: {cells:?}") };
        assert!(!meaning.is_empty() && !to_do.is_empty(), "{reason} says what it means, and what to do");
        let metadata = metadata.split(" or ").map(|set| names(set).collect()).collect();
        Documented { reason: reason.trim_matches('`').to_owned(), code: code.to_owned(), metadata }
    };
    rows("\n## Reasons\n").map(read).collect()
}

/// Why a transaction was dropped.
pub(super) fn dropped() -> Vec<String> {
    let mut reasons: Vec<_> = rows("\n## Why a transaction was dropped\n").flat_map(|cells| names(cells[0])).collect();
    reasons.sort();
    reasons
}

/// `INVALID_ARGUMENT` from `InvalidArgument`, as the protocol spells it.
pub(super) fn code_name(code: Code) -> String {
    let name = format!("{code:?}");
    let words =
        name.char_indices().flat_map(|(at, c)| (at > 0 && c.is_uppercase()).then_some('_').into_iter().chain([c]));
    words.collect::<String>().to_uppercase()
}

/// Panics unless the page has the reason with this code and these names of metadata: for every error that a test sees.
pub(crate) fn holds<'a>(reason: &str, code: Code, metadata: impl Iterator<Item = &'a String>) {
    let row = reasons().into_iter().find(|row| row.reason == reason);
    let row = row.unwrap_or_else(|| panic!("docs/api/errors.md does not know {reason}"));
    assert_eq!(row.code, code_name(code), "docs/api/errors.md on {reason}");
    let found: BTreeSet<String> = metadata.cloned().collect();
    assert!(row.metadata.contains(&found), "{reason} came with {found:?}; docs/api/errors.md says {:?}", row.metadata);
}
