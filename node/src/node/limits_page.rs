//! Holds the tables of docs/limits.md to those that the listeners enforce.

use farthing::Network;

use crate::{
    peers, rpc,
    server::{MethodPolicy, MethodTable, Rate, ServerSettings},
};

const PAGE: &str = include_str!("../../../docs/limits.md");

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    std::iter::once(head.to_owned()).filter(|head| !head.is_empty()).chain(groups).collect::<Vec<_>>().join(",")
}

fn bucket(rate: Rate) -> String {
    format!("{} / {}", grouped(rate.per_second), grouped(rate.burst))
}

fn row(path: &str, policy: &MethodPolicy) -> String {
    let method = path.rsplit('/').next().unwrap();
    let deadline = policy.deadline().map_or_else(|| "none".to_owned(), |deadline| format!("{} s", deadline.as_secs()));
    let calls = policy.calls();
    let counted = policy.items().map(|(unit, rate)| format!("{} {}", unit.as_str().replace('_', " "), bucket(rate)));
    format!(
        "| `{method}` | {} | {deadline} | {} | {} | {} |\n",
        grouped(policy.max_message() as u64),
        calls.at_a_time,
        bucket(calls.rate),
        counted.unwrap_or_default()
    )
}

fn table(methods: &MethodTable, package: &str) -> String {
    let rows = methods.iter().filter(|(path, _)| path.starts_with(package)).map(|(path, policy)| row(path, policy));
    let head = "| method | request | deadline | open | calls | counted |\n|---|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

fn connections() -> String {
    let row = |settings: ServerSettings| {
        let (connections, new) = (settings.connections, settings.new_connections);
        format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            settings.name,
            connections.total,
            connections.per_prefix,
            bucket(new.per_network),
            bucket(new.total),
            bucket(new.newcomers),
            bucket(settings.resets)
        )
    };
    let head = "| listener | at a time | of one network | new of one network | new of all | new of newcomers | resets of one |\n\
                |---|---|---|---|---|---|---|\n";
    let none = MethodTable::new;
    head.to_owned() + &row(ServerSettings::public(none())) + &row(ServerSettings::peers(none()))
}

fn on_the_page(name: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("<!-- {name} -->\n")).expect("the page has the place");
    rest.split_once("<!-- end -->").expect("and its end").0
}

#[test]
fn the_page_of_limits_says_what_is_enforced() {
    assert_eq!(on_the_page("connections"), connections(), "write this into docs/limits.md");
    let peers = peers::methods(Network::Main.params());
    assert_eq!(on_the_page("peer methods"), table(&peers, "/farthing."), "write this into docs/limits.md");
    assert_eq!(
        on_the_page("public methods"),
        table(&rpc::methods(Network::Main.params()), "/farthing."),
        "write this into docs/limits.md"
    );
}

#[test]
fn numbers_are_grouped_by_three_digits() {
    let expected = [(0, "0"), (12, "12"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
    assert!(expected.iter().all(|(number, text)| grouped(*number) == *text));
}
