//! A block as a person reads it: a box of text on standard output.

use std::{
    convert::Infallible,
    fmt,
    io::{self, Write as _},
};

use farthing::{Address, Block, BlockId, Mites, Params, SignedTransaction, TimeMs, params::DEV_ACCOUNTS};
use tokio_util::sync::CancellationToken;

use crate::chain::{ChainBlock, Origin, TipChange, TipChanges};

/// Columns of a panel, borders included.
const WIDTH: usize = 100;
/// Columns between the borders and their spaces.
const INNER: usize = WIDTH - 4;
/// Transfers that are shown; the rest is counted.
const SHOWN: usize = 20;
/// Blocks of one change that are shown one by one; more are a catch-up and summed up.
const ONE_BY_ONE: usize = 5;

/// Prints a panel for every block that joins the best chain, until the chain stops.
///
/// # Errors
/// None: a closed standard output only ends the printing.
pub async fn print(
    params: std::sync::Arc<Params>,
    mut changes: TipChanges,
    token: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let change = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            change = changes.next() => change,
        };
        let text = match change {
            Ok(None) => return Ok(()),
            Ok(Some(change)) => of_change(&params, &change),
            Err(lagged) => format!("({lagged}; panels go on from here)\n"),
        };
        let mut out = io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            tracing::warn!("standard output is closed; no more panels are shown");
            return Ok(());
        }
    }
}

/// The text for one change of the tip.
fn of_change(params: &Params, change: &TipChange) -> String {
    let mut text = String::new();
    if change.depth() > 0 {
        let (from, to) = (change.fork.height().next(), change.old_tip.height());
        text += &format!("({} blocks left the best chain, heights {from} to {to})\n", change.depth());
    }
    let shown = change.applied.len().min(ONE_BY_ONE);
    let skipped = change.gained().saturating_sub(shown as u64);
    if skipped > 0 {
        text += &format!("({skipped} blocks caught up)\n");
    }
    for block in change.applied.iter().skip(change.applied.len() - shown) {
        let ChainBlock { id, block, .. } = &**block;
        text += &Panel { params, id, block, origin: change.origin }.to_string();
    }
    text
}

/// One block.
#[derive(Debug, Clone, Copy)]
pub struct Panel<'a> {
    /// Its network.
    pub params: &'a Params,
    /// Its id.
    pub id: &'a BlockId,
    /// The block.
    pub block: &'a Block,
    /// Where it came from.
    pub origin: Origin,
}

impl fmt::Display for Panel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Block { header, coinbase, transactions } = self.block;
        let origin = match self.origin {
            Origin::Mined => "mined here",
            Origin::Peer(_) => "received from a peer",
            Origin::Local => "found on disk",
        };
        let title = format!(" Block {} · {origin} ", coinbase.height);
        let rest = (WIDTH - 3).saturating_sub(title.chars().count());
        writeln!(f, "┌─{title}{}┐", "─".repeat(rest))?;
        line(f, &format!("id         {}", self.id))?;
        line(f, &format!("time       {}", Utc(header.time)))?;
        line(f, &format!("miner      {} receives {} far", self.name(&coinbase.to), coinbase.amount))?;
        line(f, &format!("transfers  {}", transactions.len()))?;
        for signed in transactions.iter().take(SHOWN) {
            line(f, &format!("  {}", self.transfer(signed)))?;
        }
        if transactions.len() > SHOWN {
            line(f, &format!("  … and {} more", transactions.len() - SHOWN))?;
        }
        if !transactions.is_empty() {
            let moved = sum(transactions.iter().flat_map(|t| t.transaction().outputs()).map(|output| output.amount));
            let fees = sum(transactions.iter().map(|signed| signed.transaction().fee()));
            line(f, &format!("total      {moved} far, fees {fees} far"))?;
        }
        writeln!(f, "└{}┘", "─".repeat(WIDTH - 2))
    }
}

impl Panel<'_> {
    fn transfer(&self, signed: &SignedTransaction) -> String {
        let tx = signed.transaction();
        let to = match tx.outputs() {
            [one] => format!("{}  {} far", self.name(&one.to), one.amount),
            many => format!("{} outputs  {} far", many.len(), sum(many.iter().map(|output| output.amount))),
        };
        format!("{} → {to}  (fee {})", self.name(&tx.sender_address()), tx.fee())
    }

    /// The address, shortened, and on dev the name that everybody knows it by.
    fn name(&self, address: &Address) -> String {
        let text = self.params.prefix.format(address);
        let data = self.params.prefix.as_str().len() + 1;
        let short = match (text.get(..data + 6), text.len().checked_sub(6).and_then(|from| text.get(from..))) {
            (Some(head), Some(tail)) => format!("{head}…{tail}"),
            _ => text,
        };
        let known = DEV_ACCOUNTS.iter().filter(|_| self.params.is_dev());
        let name = known.into_iter().find(|(_, known)| known.parse() == Ok(*address)).map(|(name, _)| name);
        name.map_or_else(|| short.clone(), |name| format!("{name} ({short})"))
    }
}

/// Amounts of a block are within the money supply; a sum that is not could only be shown, never spent.
fn sum(amounts: impl Iterator<Item = Mites>) -> Mites {
    Mites::checked_sum(amounts).unwrap_or(Mites::MAX)
}

/// A line between borders, cut if it is too long.
fn line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut shown: String = text.chars().take(INNER).collect();
    if text.chars().count() > INNER {
        shown.pop();
        shown.push('…');
    }
    writeln!(f, "│ {shown:<INNER$} │")
}

/// A time as people write it.
struct Utc(TimeMs);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.get() / 1_000, self.0.get() % 1_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Civil date from days (H. Hinnant): years begin in March, so that the leap day is the last.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03} UTC")
    }
}

#[cfg(test)]
mod tests {
    use farthing::{Network, Output, Sender, Transaction, tx::TransactionFields};

    use super::*;
    use crate::{
        chain::SessionId,
        ledger::ChainView,
        testing::{ALICE, BOB, mine},
    };

    fn panel(block: &Block, origin: Origin) -> String {
        Panel { params: Network::Dev.params(), id: &block.id(), block, origin }.to_string()
    }

    #[test]
    fn a_block_of_transfers_is_shown_with_names_amounts_and_totals() {
        let params = Network::Dev.params();
        let payroll = Transaction::new(TransactionFields {
            sender: Sender::Key(BOB.public.clone()),
            nonce: 0,
            fee: Mites::new(100_000),
            valid_until: None,
            outputs: (1..4).map(|n| Output { to: ALICE.address(), amount: Mites::new(n) }).collect(),
            memo: Vec::new(),
        });
        let stranger = Address::from_bytes([5; 32]);
        let transfers =
            vec![ALICE.pay(0, BOB.address(), 12), BOB.sign(payroll.unwrap()), ALICE.pay(1, stranger, 1_000)];
        let block = mine(params, &ChainView::genesis(params), transfers, 9);
        insta::assert_snapshot!(panel(&block, Origin::Mined));
    }

    #[test]
    fn an_empty_block_has_no_totals() {
        let params = Network::Dev.params();
        let block = mine(params, &ChainView::genesis(params), Vec::new(), 9);
        insta::assert_snapshot!(panel(&block, Origin::Peer(SessionId::new(1))));
    }

    #[test]
    fn a_full_block_is_cut_to_a_screen_and_no_line_is_wider_than_the_panel() {
        let params = Network::Dev.params();
        let transfers = (0..25).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
        let text = panel(&mine(params, &ChainView::genesis(params), transfers, 9), Origin::Mined);
        assert!(text.contains("… and 5 more") && text.contains("total      25 far, fees 5 far"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() == WIDTH), "{text}");
    }

    #[test]
    fn times_are_civil_dates() {
        let shown = |ms| Utc(TimeMs::new(ms)).to_string();
        assert_eq!(shown(0), "1970-01-01 00:00:00.000 UTC");
        assert_eq!(shown(951_782_399_999), "2000-02-28 23:59:59.999 UTC");
        assert_eq!(shown(951_782_400_000), "2000-02-29 00:00:00.000 UTC");
        assert_eq!(shown(1_793_491_200_000), "2026-11-01 00:00:00.000 UTC");
        assert_eq!(shown((1 << 48) - 1), "10889-08-02 05:31:50.655 UTC");
    }
}
