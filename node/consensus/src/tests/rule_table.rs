//! The table at the top of the crate against the code: a table that nobody checks is wrong within a month.

use std::collections::BTreeSet;

const CRATE: &str = include_str!("../lib.rs");
const SPEC: &str = include_str!("../../../../proto/SPEC.md");
const ERRORS: &str = concat!(include_str!("../error.rs"), include_str!("../chain_proof/error.rs"));
/// Sources of the crate by module.
const SOURCES: [(&str, &str); 13] = [
    ("blocks", include_str!("../blocks.rs")),
    ("chain_proof", include_str!("../chain_proof.rs")),
    ("chain_proof", include_str!("../chain_proof/tests.rs")),
    ("difficulty", include_str!("../difficulty/mod.rs")),
    ("difficulty", include_str!("../difficulty/tests.rs")),
    ("error", ERRORS),
    ("execution", include_str!("../execution/mod.rs")),
    ("execution", include_str!("../execution/tests.rs")),
    ("fork_choice", include_str!("../fork_choice.rs")),
    ("headers", include_str!("../headers.rs")),
    ("signatures", include_str!("../signatures.rs")),
    ("tree", include_str!("../tree/mod.rs")),
    ("tree", include_str!("../tree/tests.rs")),
];

/// Rows of the table: rule, function, error, test.
fn rows() -> Vec<[&'static str; 4]> {
    let lines = CRATE.lines().filter_map(|line| line.strip_prefix("//! | R-"));
    let cells = lines.map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>());
    cells.map(|cells| [cells[0], cells[1], cells[2], cells[3]]).collect()
}

/// Ids, without their `R-`, that a text names in quotes.
fn quoted_rules(text: &'static str) -> BTreeSet<&'static str> {
    text.split("\"R-").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_row_names_a_rule_a_function_an_error_and_a_test_that_exist() {
    let histories = include_str!("histories.rs");
    for [rule, function, error, test] in rows() {
        let defined = [format!("| R-{rule} |"), format!("(R-{rule})")];
        assert!(defined.iter().any(|id| SPEC.contains(id)), "SPEC.md has no R-{rule}");
        let (module, name) = function.split_once("::").unwrap();
        let mut sources = SOURCES.iter().filter(|(of, _)| *of == module);
        assert!(sources.any(|(_, text)| text.contains(&format!("fn {name}"))), "no {function} for R-{rule}");
        if let Some((kind, variant)) = error.split_once("::") {
            let (_, body) = ERRORS.split_once(&format!("pub enum {kind} {{")).unwrap();
            let (body, _) = body.split_once("\n}").unwrap();
            assert!(body.contains(&format!("\n    {variant}")), "no {error} for R-{rule}");
        }
        let mut sources = SOURCES.iter().map(|(_, text)| *text).chain([histories]);
        assert!(
            sources.any(|text| text.contains(&format!("fn {test}()")) || text.contains(&format!("fn {test}(\n"))),
            "no test {test} for R-{rule}"
        );
    }
}

#[test]
fn every_rule_that_an_error_names_is_in_the_table() {
    let table: BTreeSet<_> = rows().iter().map(|[rule, ..]| *rule).collect();
    let named = quoted_rules(ERRORS.split("#[cfg(test)]").next().unwrap());
    assert!(named.len() > 20, "only {named:?} were read");
    assert_eq!(named.difference(&table).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// Every row of SPEC.md in the classes that this crate is for.
#[test]
fn every_rule_of_the_ledger_in_the_specification_is_in_the_table() {
    let table: BTreeSet<_> = rows().iter().map(|[rule, ..]| *rule).collect();
    // A header's length and version are its decoder's business; SIG-* refers to all of SIG.
    let elsewhere = ["HDR-01", "HDR-02", "SIG-*"];
    for line in SPEC.lines().filter_map(|line| line.strip_prefix("| R-")) {
        let rule = line.split(' ').next().unwrap();
        let (class, _) = rule.split_once('-').unwrap();
        if ["ACC", "BLK", "CB", "DIF", "FRK", "HDR", "OPN", "SIG", "TIM"].contains(&class) && !elsewhere.contains(&rule)
        {
            assert!(table.contains(rule), "R-{rule} is not in the table");
        }
    }
}
