//! What earlier commands made of a payroll. Every transaction has an id that follows from the payroll, from how many times
//! it was begun and from its place in it; the outbox keeps such ids for ever. So none is made twice.

use farthing::{Address, Output, limits::MAX_OUTPUTS};

use super::{PayError, payees::Row};
use crate::{
    cli,
    error::Result,
    fate::{Fate, Looked},
    outbox::{self, Key, Kind, Outbox, Outcome},
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

    /// Of one time that it was begun, what was made.
    fn made(&self, outbox: &Outbox, looked: &[Looked], round: u32) -> Result<Vec<Made>> {
        let made = |number| {
            let key = self.key(round, number);
            if let Some(sent) = outbox.sent(&key)? {
                return Ok(Made::Earlier { told: sent.marks.told, is_lost: sent.outcome != Some(Outcome::Paid) });
            }
            let is_it = |one: &&Looked| one.entry.marks.key.as_ref() == Some(&key) && !is_free(one);
            let found: Vec<&Looked> = looked.iter().filter(is_it).collect();
            let Some(first) = found.first() else { return Ok(Made::No) };
            let is_lost = |one: &&Looked| {
                let is_cancelled = one.entry.marks.kind == Kind::Cancel && one.is_final;
                is_cancelled || matches!(one.fate, Fate::Replaced { .. } | Fate::Expired { .. })
            };
            Ok(Made::Earlier { told: first.entry.marks.told, is_lost: found.iter().any(is_lost) })
        };
        (0..self.orders.len()).map(made).collect()
    }
}

/// Whether another payment of this wallet took its nonce for good, so that it can be made anew.
fn is_free(one: &Looked) -> bool {
    one.is_final && matches!(one.fate, Fate::Displaced { .. })
}

/// What became of a transaction by earlier commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It was not made.
    No,
    /// It was.
    Earlier {
        /// Whether somebody was told how it ended.
        told: bool,
        /// Whether that is that it was not paid.
        is_lost: bool,
    },
}

/// Which time this is, and whether an earlier command began it.
pub(super) struct Round {
    pub(super) number: u32,
    pub(super) resumed: bool,
    /// Which transactions there are already.
    pub(super) made: Vec<Made>,
    /// Parts of other payrolls that were interrupted, and that the person gives up for this one.
    pub(super) beside: Vec<Key>,
}

/// Finds out what a command means: to begin, to go on, or nothing that can be done.
///
/// # Errors
/// [`PayError`] and those of the outbox.
pub(super) fn find(
    payroll: &Payroll,
    from: &Address,
    outbox: &Outbox,
    looked: &[Looked],
    arguments: &cli::Pay,
) -> Result<Round> {
    let mut latest = None;
    for number in 1.. {
        let made = payroll.made(outbox, looked, number)?;
        if made.iter().all(|made| *made == Made::No) {
            break;
        }
        latest = Some((number, made));
    }
    let begin = |number, beside| Round { number, resumed: false, made: vec![Made::No; payroll.orders.len()], beside };
    let Some((number, made)) = latest else {
        let beside = open_beside(payroll, from, looked);
        return match beside.first().and_then(Key::payroll).and_then(|plan| plan.split_once('.')) {
            Some((digest, _)) if !arguments.again => Err(PayError::OtherIsOpen(digest.to_owned()).into()),
            _ if arguments.resume => Err(PayError::NothingToResume(payroll.digest.clone()).into()),
            _ => Ok(begin(1, beside)),
        };
    };
    let is_over = made.iter().all(|made| matches!(made, Made::Earlier { told: true, .. }));
    if is_over && arguments.again {
        return Ok(begin(number + 1, Vec::new()));
    }
    let is_lost = made.iter().any(|made| matches!(made, Made::Earlier { is_lost: true, .. }));
    if is_over && !is_lost && !arguments.resume {
        return Err(PayError::AlreadyPaid(payroll.digest.clone()).into());
    }
    Ok(Round { number, resumed: true, made, beside: Vec::new() })
}

/// Parts of other payrolls of the account whose command ended without telling anybody how.
fn open_beside(payroll: &Payroll, from: &Address, looked: &[Looked]) -> Vec<Key> {
    let open = looked.iter().filter(|one| one.entry.place().0 == *from && !one.entry.marks.told && !is_free(one));
    let keys = open.filter_map(|one| one.entry.marks.key.clone());
    let is_other = |key: &Key| {
        let plan = key.payroll().and_then(|plan| plan.split_once('.'));
        plan.is_some_and(|(digest, _)| digest != payroll.digest)
    };
    keys.filter(is_other).collect()
}
