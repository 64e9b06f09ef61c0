//! What happens to the account while somebody is typing: a thread of its own watches it, and each piece of news becomes a
//! line above the question, or before the next one where no editor is.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use farthing::{Address, EntryId, Mites, TxId};

use crate::{
    config::Settings,
    error::{Report, Result},
    output::style::{AMOUNT, GOOD, WARNING},
    terminal::Printer,
    wallet::Wallet,
    watch::{self, Kind, News, Next, Rings, Stopper, Watch},
};

/// How many lines wait at most; older ones are dropped.
const MOST_WAITING: usize = 100;

/// What is said of a piece of news.
pub(super) struct Line {
    pub(super) text: String,
    /// The own transfer whose end it tells.
    pub(super) ends: Option<TxId>,
}

/// What the session and the thread know of each other.
#[derive(Default)]
struct Board {
    balance: Option<Mites>,
    /// Transfers that the session itself waits for and tells about.
    awaited: HashSet<EntryId>,
    /// No line may be printed: a secret is being typed.
    is_held: bool,
    /// Lines that could not be printed yet.
    waiting: VecDeque<Line>,
}

/// The news of an account, until it is dropped.
pub(super) struct Live {
    board: Arc<Mutex<Board>>,
    /// Dropped to end the thread.
    _stop: Stopper,
}

/// What was heard of the account.
pub(super) struct Heard(Arc<Mutex<Board>>);

impl Heard {
    /// What the account holds.
    pub(super) fn balance(&self) -> Option<Mites> {
        lock(&self.0).balance
    }
}

impl Live {
    /// Begins to watch. With a printer, lines are printed by themselves; without, they wait for [`Live::take`].
    /// `known` is what the person was told that the account holds. `is_lost` says that the person knows already that no node answers.
    pub(super) fn begin(
        settings: &Settings,
        quorum: Option<usize>,
        wallet: &Wallet,
        address: Address,
        printer: Option<Printer>,
        known: Option<Mites>,
        is_lost: bool,
    ) -> Self {
        let board = Arc::<Mutex<Board>>::default();
        let (bell, rings) = watch::bell();
        lock(&board).balance = known;
        let mut reporter = Reporter { board: Arc::clone(&board), wallet: wallet.clone(), printer };
        let (settings, stop) = (settings.clone(), bell.stopper());
        thread::spawn(move || {
            let begun = begin(|| Watch::begin(&settings, quorum, address), is_lost, &mut reporter, &rings);
            let Some(mut watch) = begun else {
                return;
            };
            reporter.begin(watch.balance());
            watch.follow(settings.nodes(), &bell);
            watch.run(&rings, None, &mut |news| {
                reporter.tell(&news);
                Next::Go
            });
        });
        Self { board, _stop: stop }
    }

    /// What was heard, now and later.
    pub(super) fn heard(&self) -> Heard {
        Heard(Arc::clone(&self.board))
    }

    /// The session itself tells what becomes of this transfer, or no longer.
    pub(super) fn await_transfer(&self, id: EntryId, is_awaited: bool) {
        let mut board = lock(&self.board);
        if is_awaited {
            board.awaited.insert(id);
        } else {
            board.awaited.remove(&id);
        }
    }

    /// Keeps lines away from the terminal, or no longer.
    pub(super) fn hold(&self, is_held: bool) {
        lock(&self.board).is_held = is_held;
    }

    /// The lines that wait.
    pub(super) fn take(&self) -> Vec<Line> {
        lock(&self.board).waiting.drain(..).collect()
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The own transfer whose end a piece of news tells.
fn own_transfer(news: &News) -> Option<TxId> {
    match news {
        News::Mined { movement, .. } if movement.kind == Kind::Sent => Some(TxId::from_bytes(*movement.id.as_bytes())),
        _ => None,
    }
}

/// Notes that the person was told how a transfer ended, so that the same answers mean another payment.
pub(super) fn mark_told(wallet: &Wallet, ends: Option<TxId>) {
    // Else they are asked once more than needed.
    let _ = ends.map(|id| wallet.outbox().mark_payment_told(&id));
}

/// Begins to watch as soon as a node answers; none if the session ended before.
fn begin(
    try_to: impl Fn() -> Result<Watch>,
    mut is_lost: bool,
    reporter: &mut Reporter,
    rings: &Rings,
) -> Option<Watch> {
    for failures in 1.. {
        match try_to() {
            Ok(watch) => {
                if is_lost {
                    reporter.tell(&News::Back);
                }
                return Some(watch);
            }
            Err(error) => {
                if !std::mem::replace(&mut is_lost, true) {
                    reporter.tell(&News::Lost(error.report()));
                }
            }
        }
        if rings.pause(watch::patience(failures)) == Next::Stop {
            return None;
        }
    }
    None
}

/// Turns news into lines.
struct Reporter {
    board: Arc<Mutex<Board>>,
    wallet: Wallet,
    printer: Option<Printer>,
}

impl Reporter {
    fn set_balance(&self, balance: Mites) {
        lock(&self.board).balance = Some(balance);
    }

    fn tell(&mut self, news: &News) {
        if let News::Mined { balance, .. } = news {
            self.set_balance(*balance);
        }
        if let Some(line) = self.line(news) {
            self.say(line, own_transfer(news));
        }
    }

    /// What the account holds when the watch begins; said if something happened since the person was told.
    fn begin(&mut self, balance: Mites) {
        let known = lock(&self.board).balance.replace(balance);
        if known.is_some_and(|known| known != balance) {
            self.say(format!("changed meanwhile: balance {AMOUNT}{balance} far{AMOUNT:#}, verified"), None);
        }
    }

    fn say(&mut self, line: String, ends: Option<TxId>) {
        let mut board = lock(&self.board);
        if board.is_held || self.printer.is_none() {
            board.waiting.push_back(Line { text: line, ends });
            while board.waiting.len() > MOST_WAITING {
                board.waiting.pop_front();
            }
            return;
        }
        // The printer may wait for the editor: nobody else may have to wait for us meanwhile.
        drop(board);
        if let Some(printer) = &mut self.printer {
            printer(format!("{line}\n"));
        }
        mark_told(&self.wallet, ends);
    }

    fn line(&self, news: &News) -> Option<String> {
        let words = |movement: &crate::watch::Movement| {
            movement.words(&self.wallet).unwrap_or_else(|_| format!("{} far", movement.amount))
        };
        Some(match news {
            News::Waiting(movement) => {
                format!("{GOOD}arriving{GOOD:#}: {}, pending at the node, not verified", words(movement))
            }
            News::Mined { movement, height, balance } => {
                if movement.kind == Kind::Sent && lock(&self.board).awaited.remove(&movement.id) {
                    return None;
                }
                let words = words(movement);
                let kind = movement.kind;
                format!(
                    "{GOOD}{kind}{GOOD:#}: {words}, in block {height}, verified; balance {AMOUNT}{balance} far{AMOUNT:#}"
                )
            }
            News::Undone(movement) => format!(
                "{WARNING}undone{WARNING:#}: {}: its block left the best chain; it may be mined again",
                words(movement)
            ),
            News::Lost(Report { what, .. }) => format!("{WARNING}{what}{WARNING:#}; asking again until it answers"),
            News::Back => "the node answers again".to_owned(),
        })
    }
}
