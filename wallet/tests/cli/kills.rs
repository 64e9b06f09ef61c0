//! The wallet is killed at random moments of `send --id` and `pay`, and each command is repeated until it succeeds: every
//! payment must be made exactly once, counted in the node's blocks.
//!
//! A short round is part of the tests. The long one prints what it did:
//! `FARTHING_KILLS=200 cargo test -p farthing-wallet --test cli kills -- --nocapture`; `FARTHING_SEED=N` repeats its choices.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    fake_node::FakeNode,
    harness::{Run, Wallet},
    transcripts::BOB,
};

/// Kills of the round that every test run makes.
const SHORT: usize = 10;
/// A payment that is killed that often is let through.
const PATIENCE: usize = 6;
/// Rows of a file: three transactions.
const ROWS: u64 = 130;

/// Numbers that need not be secret, only the same for the same seed (xorshift).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// What was done.
#[derive(Default)]
struct Tally {
    /// Kills that found the program running.
    kills: usize,
    /// Of these, kills when the node had been handed something of the payment.
    late_kills: usize,
    commands: usize,
    sends: usize,
    payrolls: usize,
    /// Repetitions that found out that the killed one had ended its work.
    over: usize,
}

/// Waits for the program, and kills it if it has not ended by then.
pub(crate) fn run_or_kill(mut command: Command, after: Option<Duration>) -> Result<Run, ()> {
    let mut child: Child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let Some(after) = after else {
        return Ok(Run::from(child.wait_with_output().unwrap()));
    };
    // Nothing comes through this channel: what is waited for is the moment of the kill.
    let (_open, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(after);
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    // It may have ended by itself in between.
    if was_running && output.status.code().is_none() { Err(()) } else { Ok(Run::from(output)) }
}

struct Round {
    wallet: Wallet,
    node: FakeNode,
    dice: Dice,
    tally: Tally,
    /// What is to be paid, in mites; no two payments are alike.
    owed: Vec<u64>,
    /// How long a whole command takes here, of either kind.
    whole: BTreeMap<String, Duration>,
}

impl Round {
    fn new(seed: u64) -> Self {
        let wallet = Wallet::new();
        let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
        wallet.ok(&["contact", "add", "bob", BOB]);
        let node = FakeNode::start(&address, 0);
        let wallet = wallet.with_node(&node.url);
        let mut round = Self {
            wallet,
            node,
            dice: Dice(seed.max(1)),
            tally: Tally::default(),
            owed: Vec::new(),
            whole: BTreeMap::new(),
        };
        // In peace, to know how long that takes.
        while round.whole.len() < 2 {
            round.pay_until_done(0);
        }
        round
    }

    /// A command for payments that were never made, of either kind.
    fn next_command(&mut self) -> Vec<String> {
        let first = 1 + self.owed.len() as u64;
        let far = |mites: u64| format!("0.{mites:08}");
        let words = if self.dice.below(2) == 0 {
            self.tally.sends += 1;
            self.owed.push(first);
            vec!["send".into(), "bob".into(), far(first), "--id".into(), format!("payment-{first}")]
        } else {
            self.tally.payrolls += 1;
            self.owed.extend(first..first + ROWS);
            let rows: String = (first..first + ROWS).map(|mites| format!("bob,{}\n", far(mites))).collect();
            let file = self.wallet.file(&format!("{first}.csv"), &format!("recipient,amount\n{rows}"));
            vec!["pay".into(), file]
        };
        words.into_iter().chain(["--yes".into()]).collect()
    }

    /// Makes one payment, killing its command so many times at most.
    fn pay_until_done(&mut self, most_kills: usize) {
        let words = self.next_command();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let before = self.node.state().submissions;
        for attempt in 0.. {
            self.tally.commands += 1;
            let is_peaceful = attempt >= most_kills;
            // Half of them wait for a block that does not come, until they are killed.
            let waits = !is_peaceful && self.dice.below(2) == 0;
            self.node.state().mines = !waits;
            if !waits {
                // What waits already: only what is handed in from now on is mined by itself.
                self.node.state().mine();
            }
            let after = if is_peaceful { None } else { Some(self.moment(words[0])) };
            let started = Instant::now();
            let ended = run_or_kill(self.wallet.command(&words), after);
            // What waits is mined now or later; now and then so deep that the outbox forgets it.
            for _ in 0..[0, 1, 1, 7][usize::try_from(self.dice.below(4)).unwrap()] {
                self.node.state().mine();
            }
            match ended {
                Err(()) => {
                    self.tally.kills += 1;
                    self.tally.late_kills += usize::from(self.node.state().submissions > before);
                }
                Ok(run) if run.code == 0 => {
                    if after.is_none() && attempt == 0 {
                        self.whole.insert(words[0].into(), started.elapsed());
                    }
                    return;
                }
                // Killed between its last word and its end.
                Ok(run) if attempt > 0 && run.stderr.contains("error[ALREADY_PAID]") => {
                    self.tally.over += 1;
                    return;
                }
                Ok(run) => panic!("{words:?} ended with {}: {}", run.code, run.stderr),
            }
        }
    }

    /// How long a command of this kind lives.
    fn moment(&mut self, kind: &str) -> Duration {
        let whole = u64::try_from(self.whole[kind].as_micros()).unwrap();
        Duration::from_micros(self.dice.below(2 * whole))
    }

    fn check(&self) {
        self.node.state().mine();
        let mut paid: BTreeMap<u64, usize> = BTreeMap::new();
        for amount in self.node.state().paid() {
            *paid.entry(amount).or_default() += 1;
        }
        let owed: BTreeMap<u64, usize> = self.owed.iter().map(|amount| (*amount, 1)).collect();
        let wrong: Vec<_> = paid.iter().filter(|(amount, times)| owed.get(amount) != Some(times)).collect();
        assert!(wrong.is_empty(), "paid otherwise than once: {wrong:?}");
        assert_eq!(paid.len(), owed.len(), "owed and not paid");
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures of a long round are read by people")]
fn whatever_a_command_is_killed_at_its_repetition_pays_once() {
    let kills = number("FARTHING_KILLS").map_or(SHORT, |kills| usize::try_from(kills).unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("FARTHING_SEED").unwrap_or(now);
    println!("FARTHING_SEED={seed}");
    let mut round = Round::new(seed);
    while round.tally.kills < kills {
        round.pay_until_done(PATIENCE);
        round.check();
    }
    let Tally { kills, late_kills, commands, sends, payrolls, over } = round.tally;
    println!(
        "kills {kills} (of them {late_kills} after something was handed in), commands {commands}, payments by send {sends}, \
         payrolls {payrolls} of {ROWS} rows, repetitions of what was over {over}; amounts owed {}, each paid exactly once",
        round.owed.len()
    );
}
