//! What earlier commands made of a payroll. Every transaction has an id that follows from the payroll, from how many times
//! it was begun and from its place in it; the outbox keeps such ids for ever. So none is made twice.

use farthing::{Address, Output, limits::MAX_OUTPUTS};

use super::{PayError, payees::Row};
use crate::{
    cli,
    error::Result,
    outbox::{self, Entry, Key, Outbox},
    transfer::Order,
};

/// Characters of the digest that name a payroll.
const DIGEST: usize = 32;

/// A payroll: who gets what, in how many transactions.
pub(super) struct Payroll {
    pub(super) rows: Vec<Row>,
    /// A transaction each, in the order of the rows.
    pub(super) orders: Vec<Order>,
    /// What it is known by.
    pub(super) digest: String,
}

impl Payroll {
    pub(super) fn new(from: &Address, rows: Vec<Row>, like: &Order) -> Self {
        let outputs: Vec<Output> = rows.iter().map(|row| Output { to: row.to, amount: row.amount }).collect();
        let mut digest = outbox::content(from, &outputs, false, &like.memo);
        digest.truncate(DIGEST);
        let order = |outputs: &[Output]| Order { outputs: outputs.to_vec(), ..like.clone() };
        Self { rows, orders: outputs.chunks(MAX_OUTPUTS).map(order).collect(), digest }
    }

    /// The rows of a transaction.
    pub(super) fn part(&self, number: usize) -> &[Row] {
        self.rows.chunks(MAX_OUTPUTS).nth(number).unwrap_or_default()
    }

    /// The id of a transaction.
    pub(super) fn key(&self, round: u32, number: usize) -> Key {
        Key::of_part(&format!("{}.{round}", self.digest), number)
    }

    /// Of one time that it was begun, which transactions were made, and whether somebody was told how they ended.
    fn told(&self, outbox: &Outbox, entries: &[Entry], round: u32) -> Result<Vec<Option<bool>>> {
        let told = |number| {
            let key = self.key(round, number);
            if let Some(sent) = outbox.sent(&key)? {
                return Ok(Some(sent.marks.told));
            }
            Ok(entries.iter().find(|entry| entry.marks.key.as_ref() == Some(&key)).map(|entry| entry.marks.told))
        };
        (0..self.orders.len()).map(told).collect()
    }
}

/// Which time this is, and whether an earlier command began it.
pub(super) struct Round {
    pub(super) number: u32,
    pub(super) resumed: bool,
    /// Which transactions there are already.
    pub(super) made: Vec<bool>,
}

/// Finds out what a command means: to begin, to go on, or nothing that can be done.
///
/// # Errors
/// [`PayError`] and those of the outbox.
pub(super) fn find(
    payroll: &Payroll,
    from: &Address,
    outbox: &Outbox,
    entries: &[Entry],
    arguments: &cli::Pay,
) -> Result<Round> {
    let mut latest = None;
    for number in 1.. {
        let told = payroll.told(outbox, entries, number)?;
        if told.iter().all(Option::is_none) {
            break;
        }
        latest = Some((number, told));
    }
    let begin = |number| Round { number, resumed: false, made: vec![false; payroll.orders.len()] };
    let Some((number, told)) = latest else {
        if let Some(other) = other_that_is_open(payroll, from, entries).filter(|_| !arguments.again) {
            return Err(PayError::OtherIsOpen(other).into());
        }
        return if arguments.resume {
            Err(PayError::NothingToResume(payroll.digest.clone()).into())
        } else {
            Ok(begin(1))
        };
    };
    let is_over = told.iter().all(|told| *told == Some(true));
    if is_over && arguments.again {
        return Ok(begin(number + 1));
    }
    if is_over && !arguments.resume {
        return Err(PayError::AlreadyPaid(payroll.digest.clone()).into());
    }
    Ok(Round { number, resumed: true, made: told.iter().map(Option::is_some).collect() })
}

/// Another payroll of the account whose command ended without telling anybody how.
fn other_that_is_open(payroll: &Payroll, from: &Address, entries: &[Entry]) -> Option<String> {
    let open = entries.iter().filter(|entry| entry.place().0 == *from && !entry.marks.told);
    let mut plans = open.filter_map(|entry| entry.marks.key.as_ref()?.payroll()?.split_once('.'));
    plans.find(|(digest, _)| *digest != payroll.digest).map(|(digest, _)| digest.to_owned())
}
