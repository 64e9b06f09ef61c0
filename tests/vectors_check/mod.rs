//! Every case of `tests/vectors/*.json` held against the Rust code; `tests/vectors/README.md` says what is in them.
//!
//! The files come from a second implementation. A refused case must be refused for the rule that it names.

mod blocks;
mod genesis;
mod headers;
mod keys;
mod proofs;
mod refusal;
mod transactions;
mod trees;
mod typed;

use std::{fmt, fs, path::Path};

use farthing::{Bits, Hash, Network, Params};
use serde_json::Value;

use refusal::Refusal;

/// One file of vectors, all of whose lists the test at hand looks at.
struct Vectors {
    name: &'static str,
    json: Value,
}

impl Vectors {
    /// Reads a file and checks that it has exactly these lists, none of them empty: a list that a test does not know
    /// would be one that nobody checks.
    fn open(name: &'static str, lists: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name).with_extension("json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut found: Vec<_> = json.as_object().expect("a file is one object").keys().map(String::as_str).collect();
        let mut expected = lists.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}.json has other lists than its test looks at");
        let vectors = Self { name, json };
        for list in lists {
            assert!(!vectors.cases(list).is_empty(), "{name}.json: {list} has no case");
        }
        vectors
    }

    fn cases(&self, list: &str) -> Vec<Case<'_>> {
        let values = self.json[list].as_array().unwrap_or_else(|| panic!("{}.json: {list} is no list", self.name));
        values.iter().map(Case).collect()
    }
}

/// One case, or an object within one.
#[derive(Clone, Copy)]
struct Case<'a>(&'a Value);

impl<'a> Case<'a> {
    fn field(self, key: &str) -> &'a Value {
        self.0.get(key).unwrap_or_else(|| panic!("{self}: no field {key}"))
    }

    fn has(self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    fn text(self, key: &str) -> &'a str {
        self.field(key).as_str().unwrap_or_else(|| panic!("{self}: {key} is no text"))
    }

    fn flag(self, key: &str) -> bool {
        self.field(key).as_bool().unwrap_or_else(|| panic!("{self}: {key} is neither true nor false"))
    }

    fn bytes(self, key: &str) -> Vec<u8> {
        hex::decode(self.text(key)).unwrap_or_else(|error| panic!("{self}: {key}: {error}"))
    }

    /// 32 bytes of whichever kind is wanted.
    fn hash<T: for<'b> TryFrom<&'b [u8]>>(self, key: &str) -> T {
        let bytes = self.bytes(key);
        T::try_from(&bytes).unwrap_or_else(|_| panic!("{self}: {key} has {} bytes, not 32", bytes.len()))
    }

    /// A number of 64 or 128 bits: decimal text.
    fn number<T: std::str::FromStr>(self, key: &str) -> T {
        self.text(key).parse().unwrap_or_else(|_| panic!("{self}: {key} is no number"))
    }

    /// A small number.
    fn small<T: TryFrom<u64>>(self, key: &str) -> T {
        let number = self.field(key).as_u64().and_then(|number| T::try_from(number).ok());
        number.unwrap_or_else(|| panic!("{self}: {key} is no number of its type"))
    }

    fn bits(self, key: &str) -> Bits {
        Bits::from_compact(u32::from_str_radix(self.text(key), 16).unwrap_or_else(|_| panic!("{self}: {key}")))
    }

    fn object(self, key: &str) -> Self {
        Case(self.field(key))
    }

    fn list(self, key: &str) -> Vec<Self> {
        let list = self.field(key).as_array().unwrap_or_else(|| panic!("{self}: {key} is no list"));
        list.iter().map(Case).collect()
    }

    fn hashes(self, key: &str) -> Vec<Hash> {
        self.list(key).into_iter().map(|Case(value)| read_hash(value)).collect()
    }

    /// Asserts that this case was refused, and for its own rule.
    fn refused<T: fmt::Debug>(self, outcome: Result<T, Refusal>) {
        let refusal = match outcome {
            Ok(taken) => panic!("{self}: taken as {taken:?}, but breaks {}", self.text("broken_rule")),
            Err(refusal) => refusal,
        };
        let error = self.text("error");
        let expected = Refusal::new(self.text("broken_rule"), error.rsplit("::").next().unwrap_or(error));
        assert_eq!(refusal, expected, "{self}: refused for another reason");
    }
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get("description").and_then(Value::as_str) {
            Some(description) => write!(f, "{description:?}"),
            None => write!(f, "{:.200}", self.0.to_string()),
        }
    }
}

fn read_hash(value: &Value) -> Hash {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no hash"))
}

/// Parameters of a network that a case names: a built-in one, or one of the file networks of `genesis.json`.
fn network(name: &str) -> Params {
    if let Some(network) = Network::by_name(name) {
        return network.params().clone();
    }
    let file = Vectors::open("genesis", genesis::LISTS);
    let case = file.cases("networks").into_iter().find(|case| case.object("parameters").text("name") == name);
    let case = case.unwrap_or_else(|| panic!("genesis.json has no network {name}"));
    Params::new(typed::parameters(case.object("parameters"))).expect("networks of the vectors are valid")
}
