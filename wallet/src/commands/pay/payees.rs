//! The file of a payroll. The mistakes in it are told together, not one with each attempt.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use csv::StringRecord;
use farthing::{Address, Mites};

use super::PayError;
use crate::{
    commands::send::parse_payment,
    context::Context,
    disk,
    error::{Error, Report, Result},
    output::counted,
    wallet::Wallet,
};

/// Longest file.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most rows of a file.
const MAX_ROWS: usize = 4_096;
/// Most wrong rows that are told one by one.
const MOST_TOLD: usize = 100;

/// A payment in a file.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The number of its line, from 1.
    pub(super) line: u64,
    /// Who receives, as the file says.
    pub(super) recipient: String,
    /// Who that is.
    pub(super) to: Address,
    /// How much.
    pub(super) amount: Mites,
    /// The person's own note; it goes nowhere.
    pub(super) label: String,
}

/// Where the columns are.
struct Columns {
    recipient: usize,
    amount: usize,
    label: Option<usize>,
    count: usize,
}

impl Columns {
    fn read(header: &StringRecord) -> Result<Self, String> {
        let names: Vec<String> = header.iter().map(str::to_lowercase).collect();
        for (at, name) in names.iter().enumerate() {
            match name.as_str() {
                "recipient" | "amount" | "label" => {}
                "memo" => {
                    return Err("a transaction has one memo, which --memo gives; a column for your own notes is \
                                called label"
                        .into());
                }
                other => return Err(format!("{:?} is none of recipient, amount, label", short(other))),
            }
            if names[..at].contains(name) {
                return Err(format!("{name} is there twice"));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let needed = |wanted: &str| find(wanted).ok_or_else(|| format!("there is no column {wanted}"));
        Ok(Self {
            recipient: needed("recipient")?,
            amount: needed("amount")?,
            label: find("label"),
            count: names.len(),
        })
    }
}

/// Reads a file.
///
/// # Errors
/// [`PayError`] after each wrong row was told, and [`disk::DiskError`].
pub(super) fn read(context: &mut Context, file: &Path) -> Result<Vec<Row>> {
    let path = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    let text = String::from_utf8_lossy(&disk::read_any(path, MAX_FILE_BYTES)?).into_owned();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = |why: String| Error::from(PayError::Columns { file: file.to_owned(), why });
    let header = reader.headers().map_err(|error| columns(error.to_string()))?;
    if header.is_empty() {
        return Err(PayError::Empty(file.to_owned()).into());
    }
    let columns = Columns::read(header).map_err(columns)?;
    let mut finder = Finder { wallet: context.wallet.clone(), known: HashMap::new() };
    let (mut rows, mut bad) = (Vec::new(), 0);
    for (count, record) in reader.records().enumerate() {
        if count == MAX_ROWS {
            return Err(PayError::TooMany { file: file.to_owned(), most: MAX_ROWS }.into());
        }
        let row = match record {
            Ok(record) => row(&columns, &record, line(text, record.position()), &mut finder),
            Err(error) => Err((line(text, error.position()), error.to_string())),
        };
        match row {
            Ok(row) => rows.push(row),
            Err((line, why)) => {
                bad += 1;
                if bad <= MOST_TOLD {
                    context.output.warn(format_args!("line {line}: {why}"));
                }
            }
        }
    }
    if bad > MOST_TOLD {
        context.output.warn(format_args!("and {} that are wrong", counted(bad - MOST_TOLD, "more row")));
    }
    match (bad, rows.len()) {
        (0, 0) => Err(PayError::Empty(file.to_owned()).into()),
        (0, _) => Ok(rows),
        (bad, good) => Err(PayError::Rows { file: file.to_owned(), bad, rows: bad + good }.into()),
    }
}

/// The line that a record is on: its position may be before line breaks that do not belong to it.
fn line(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + breaks.filter(|byte| **byte == b'\n').count() as u64
}

fn row(columns: &Columns, record: &StringRecord, line: u64, finder: &mut Finder) -> Result<Row, (u64, String)> {
    let wrong = |why: String| (line, why);
    if record.len() != columns.count {
        return Err(wrong(format!("{} fields, expected {}", record.len(), columns.count)));
    }
    // An open quote takes the lines behind it for one field: they would not be paid.
    if record.iter().any(|field| field.chars().any(char::is_control)) {
        return Err(wrong("a field holds a line break or another control character; a quote may be left open".into()));
    }
    let field = |at: usize| record.get(at).unwrap_or_default();
    let recipient = field(columns.recipient).to_owned();
    let to = finder.find(&recipient).map_err(wrong)?;
    let amount = parse_payment(field(columns.amount)).map_err(|error| wrong(said(&Error::from(error).report())))?;
    let label = columns.label.map(|at| field(at).to_owned()).unwrap_or_default();
    Ok(Row { line, recipient, to, amount, label })
}

/// Who a text stands for, looked up once.
struct Finder {
    wallet: Wallet,
    known: HashMap<String, Result<Address, String>>,
}

impl Finder {
    fn find(&mut self, text: &str) -> Result<Address, String> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let found = self.wallet.find(text).map_err(|error| said(&error.report()));
        self.known.insert(text.to_owned(), found.clone());
        found
    }
}

fn said(report: &Report) -> String {
    report.why.as_ref().map_or_else(|| report.what.clone(), |why| format!("{} ({why})", report.what))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Rows that pay what an earlier one pays, to the same account: their lines.
pub(super) fn repeated(rows: &[Row]) -> Vec<u64> {
    let mut seen = HashSet::new();
    rows.iter().filter(|row| !seen.insert((row.to, row.amount))).map(|row| row.line).collect()
}
