//! The pages show a call of every method, and what they show is run: by `.ci/run api`.

use std::{collections::BTreeSet, fs, path::Path};

use farthing::wire::PUBLIC_DESCRIPTORS;
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Methods that no page shows, and why.
const NOT_SHOWN: &[(&str, &str)] = &[];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages whose sessions `.ci/run api` runs, as it says itself.
fn pages() -> Vec<String> {
    let script = read(".ci/run");
    let step =
        script.split("step_api() {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("there is the step");
    let list = step.split("for page in ").nth(1).and_then(|rest| rest.split(';').next()).expect("it names its pages");
    list.split_whitespace().map(str::to_owned).collect()
}

/// The methods that the commands of a page's sessions call.
fn called(page: &str) -> BTreeSet<String> {
    let mut is_session = false;
    let mut found = BTreeSet::new();
    for line in read(page).lines() {
        match line {
            "```console session" => is_session = true,
            "```" => is_session = false,
            _ => {}
        }
        let command = line.strip_prefix("$ grpcurl ").filter(|_| is_session);
        let words = command.into_iter().flat_map(str::split_whitespace);
        found.extend(words.filter(|word| word.starts_with("farthing.") && word.contains('/')).map(str::to_owned));
    }
    found
}

fn methods() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(PUBLIC_DESCRIPTORS).expect("the descriptors of this program");
    let services = set.file.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    let names = services.flat_map(|(package, service)| {
        service.method.iter().map(move |method| format!("{package}.{}/{}", service.name(), method.name()))
    });
    names.collect()
}

#[test]
fn every_method_is_called_by_a_command_that_the_checks_run() {
    let (pages, methods) = (pages(), methods());
    assert!(pages.len() >= 4 && methods.len() >= 11, "{pages:?} {methods:?}");
    let called: BTreeSet<String> = pages.iter().flat_map(|page| called(page)).collect();
    let missing: BTreeSet<&str> = methods.difference(&called).map(String::as_str).collect();
    let excepted: BTreeSet<&str> = NOT_SHOWN.iter().map(|(method, _)| *method).collect();
    assert_eq!(missing, excepted, "show a call of each in a page of {pages:?}");
    let unknown: Vec<_> = called.difference(&methods).collect();
    assert!(unknown.is_empty(), "no such methods: {unknown:?}");
}
