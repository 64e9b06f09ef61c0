//! SPEC.md and the code name the same rules and the same errors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Rules with an error in SPEC.md that no `rule()` of the code names, and why.
const NOT_BY_RULE: &[(&str, &str)] = &[
    ("R-HDR-01", "R-ENC-01 and R-ENC-02 for a header by itself"),
    ("P-01", "policy: refusals are named by the mempool's Rejection"),
    ("P-02", "policy: refusals are named by the mempool's Rejection"),
    ("P-03", "policy: refusals are named by the mempool's Rejection"),
    ("P-04", "policy: refusals are named by the mempool's Rejection"),
    ("P-05", "policy: refusals are named by the mempool's Rejection"),
    ("P-06", "policy: refusals are named by the mempool's Rejection"),
    ("P-09", "policy: ParamsFileError, where the file is read"),
];

/// Where rules live: the protocol, the rules on it, and the errors of policy and of proofs.
const SOURCES: &[&str] = &["proto/src", "node/consensus/src", "node/src/mempool", "wallet/src"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn spec() -> String {
    fs::read_to_string(root().join("proto/SPEC.md")).expect("the specification is there")
}

/// Rows of SPEC.md's tables whose last column names an error: id, and the names.
fn error_rows(spec: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    let mut names_errors = false;
    for line in spec.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|line| line.trim_end().strip_suffix('|')) else {
            names_errors = false;
            continue;
        };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        if first == "id" {
            names_errors = ["error", "state", "refusal"].contains(&last);
        } else if names_errors && is_rule_id(first) {
            let names = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            assert!(rows.insert(first.to_owned(), names).is_none(), "{first} has two rows");
        }
    }
    rows
}

/// `R-XXX-NN`, `R-XX-NN` or `P-NN`.
fn is_rule_id(text: &str) -> bool {
    let number = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    match text.split('-').collect::<Vec<_>>()[..] {
        ["R", class, last] => {
            (2..=3).contains(&class.len()) && class.bytes().all(|b| b.is_ascii_uppercase()) && number(last)
        }
        ["P", last] => number(last),
        _ => false,
    }
}

/// The text of every source file, without the unit tests at its end.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories: Vec<_> = SOURCES.iter().map(|source| root().join(source)).collect();
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(&directory).expect("the sources are there") {
            let path = item.expect("the sources can be listed").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                directories.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text).to_owned();
                found.push((path, code));
            }
        }
    }
    found
}

/// Rule ids that the code has as string literals: what the errors' `rule()` can say.
fn rules_in_code() -> BTreeSet<String> {
    let literals = |code: &str| -> Vec<String> { code.split('"').skip(1).map(str::to_owned).collect() };
    let all = sources().into_iter().flat_map(|(_, code)| literals(&code));
    all.filter(|literal| is_rule_id(literal)).collect()
}

#[test]
fn every_rule_with_an_error_is_named_by_the_code_or_said_not_to_be() {
    let (rows, code) = (error_rows(&spec()), rules_in_code());
    assert!(rows.len() > 80, "only {} rules found: is the form of SPEC.md's tables another?", rows.len());
    let excepted: BTreeMap<_, _> = NOT_BY_RULE.iter().copied().collect();
    let missing: Vec<_> =
        rows.iter().filter(|(id, names)| !names.is_empty() && !code.contains(*id)).map(|(id, _)| id.as_str()).collect();
    let expected: Vec<_> = NOT_BY_RULE.iter().map(|(id, _)| *id).collect();
    let sorted: BTreeSet<_> = expected.iter().copied().collect();
    assert_eq!(missing.iter().copied().collect::<BTreeSet<_>>(), sorted, "reasons so far: {excepted:#?}");
}

#[test]
fn every_rule_that_the_code_names_is_defined_in_the_specification() {
    let spec = spec();
    let words: BTreeSet<_> = spec.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
    let unknown: Vec<_> = rules_in_code().into_iter().filter(|id| !words.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "not in SPEC.md: {unknown:?}");
}

#[test]
fn every_error_name_of_the_specification_is_one_of_the_code() {
    let mut identifiers = BTreeSet::new();
    for (_, code) in sources() {
        let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned);
        identifiers.extend(words);
    }
    for (id, names) in error_rows(&spec()) {
        for part in names.iter().flat_map(|name| name.split("::")) {
            assert!(identifiers.contains(part), "{id}: no {part} in the code");
        }
    }
}
