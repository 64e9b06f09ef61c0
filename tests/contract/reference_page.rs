//! docs/api/reference.md is what the descriptors say.

use std::{collections::BTreeSet, fs, path::Path};

use farthing::wire::PUBLIC_DESCRIPTORS;

use crate::reference::{PACKAGE, PATH, anchor, page};

fn made() -> String {
    page(PUBLIC_DESCRIPTORS, PACKAGE).expect("the descriptors of this program")
}

#[test]
fn the_page_is_what_the_definitions_say() {
    let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH)).expect("the page is there");
    let made = made();
    let different = kept.lines().zip(made.lines()).find(|(kept, made)| kept != made);
    assert_eq!(different, None, "{PATH} is old: cargo run --example api_reference");
    assert!(kept == made, "{PATH} is longer or shorter than it should be: cargo run --example api_reference");
}

#[test]
fn every_link_leads_to_one_heading_and_nothing_is_without_a_meaning() {
    let page = made();
    let mut headings = BTreeSet::new();
    for heading in page.lines().filter_map(|line| line.strip_prefix("## ").or_else(|| line.strip_prefix("### "))) {
        assert!(headings.insert(anchor(heading)), "two headings {heading}");
    }
    let links: Vec<&str> = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 50, "only {} links", links.len());
    for link in links {
        assert!(headings.contains(link), "no heading for #{link}");
    }
    // A comment is missing where a cell ends empty, or a heading has its table or its types next.
    assert!(!page.contains("|  |\n"), "something has no meaning");
    for (heading, next) in page.split("### ").skip(1).filter_map(|part| part.split_once("\n\n")) {
        assert!(!next.starts_with(['|', '#', '[']) && !next.starts_with("**stream**"), "{heading} has no comment");
    }
}

/// What only some messages have: the renderer must not lose it when the last one goes.
#[test]
fn streams_lists_maps_choices_and_units_are_marked() {
    let page = made();
    for part in [
        "[SubscribeBlocksRequest](#subscribeblocksrequest) → **stream** of [SubscribeBlocksResponse](#subscribeblocksresponse)",
        "| list of [TransactionOutput](#transactionoutput) |",
        "One of `block_id`, ",
        "| uint64, optional |",
        "| `fee_mites` | 5 | uint64 | mites |",
        "| `height` |",
    ] {
        assert!(page.contains(part), "nowhere: {part}");
    }
}
