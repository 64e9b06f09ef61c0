//! The interactive session: your name, the recipient's name, an amount; confirm; wait until it is mined; again. Meanwhile
//! the account is watched.

mod live;
mod memory;
mod people;
mod unfinished;
mod words;

use std::time::Duration;

use farthing::Mites;

use self::{
    live::{Heard, Line, Live},
    unfinished::Before,
};
use crate::{
    cli,
    client::NodeClient,
    commands::{balance, contact, history, receive, resubmit, send, status},
    context::{AskError, Context},
    error::{Error, Exit, Result},
    keystore::KeyEntry,
    outbox::{self, Kind, Marks},
    output::style::AMOUNT,
    terminal::{Printer, Wording},
    transfer::{FeeBounds, Order, Plan, Wish},
};

/// How long the session waits for a transfer to be mined before it goes on, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// Instead of an amount: all that can be spent.
const MAX: &str = "max";

const HELP: &str = "\
Answer the questions, or type one of these words at any of them:
  balance    what your accounts hold
  history    what you received and spent
  contacts   the names you gave to addresses
  receive    your address, and a QR code of it
  status     the node and its tip
  help       this text
  quit       leave (so does Ctrl-D)
For an amount, max is all that can be spent, less the fee.
Tab completes names and words, the arrows call back what you typed before. Ctrl-C gives up a question or a wait; twice, it
leaves. Payments to you are shown as they arrive and as they are mined.";

/// How a question ended.
enum Answer {
    /// With an answer.
    Text(String),
    /// The person wants to leave.
    Quit,
}

/// A conversation.
struct Session<'a> {
    context: &'a mut Context,
    /// Made once a node answers.
    client: Option<NodeClient>,
    /// Prints above the question; taken by whoever watches the account.
    printer: Option<Printer>,
    live: Option<Live>,
    /// What the account held when the session began, proven.
    balance: Option<Mites>,
    /// What a transfer may pay to be mined.
    bounds: FeeBounds,
    /// Whether the last thing was Ctrl-C.
    gave_up: bool,
}

/// Leads the conversation until the person leaves. No transfer pays more than `max_fee`, if it is given, or else what the
/// settings allow.
///
/// # Errors
/// A fee that is none; else only what makes going on pointless: a node of another network, a broken terminal, Ctrl-C twice.
pub fn run(context: &mut Context, max_fee: Option<&str>) -> Result<()> {
    let bounds = send::bounds(context, max_fee)?;
    let network = context.wallet.network().name.clone();
    context.output.note(format_args!("Farthing wallet, network {network}, node {}.", context.settings.node()));
    let printer = if context.output.is_json() {
        None
    } else {
        let earlier = memory::lines(context);
        context.terminal.open_editor(&earlier)
    };
    let mut session = Session { context, client: None, printer, live: None, balance: None, bounds, gave_up: false };
    match session.connect() {
        Err(error) if error.exit() == Exit::Unreachable => {
            session.context.output.error(&error);
            session.context.output.note("The session goes on; it asks again when it needs the node.");
        }
        other => other?,
    }
    session.context.output.note("Type help for help, quit or Ctrl-D to leave.\n");
    match session.talk() {
        // Ctrl-D at a question of a payment: nothing of it was sent.
        Err(error) if error.code() == "NO_INPUT" && error.exit() == Exit::Declined => {}
        other => other?,
    }
    session.context.output.note("bye");
    Ok(())
}

/// Errors that every further question would meet again.
fn ends_the_session(error: &Error) -> bool {
    matches!(error.code(), "NO_INPUT" | "INTERRUPTED")
}

fn is_word(text: &str) -> bool {
    text == "?" || words::WORDS.contains(&text)
}

impl Session<'_> {
    fn talk(&mut self) -> Result<()> {
        let me = loop {
            let outcome = self.who_are_you();
            match self.survive(outcome)? {
                Some(Some(me)) => break me,
                Some(None) => return Ok(()),
                None => {}
            }
        };
        let recalled = self.recall(&me);
        self.survive(recalled)?;
        self.watch(&me);
        let outcome = self.pay_and_pay(&me);
        self.show_news();
        let parted = self.part(&me);
        outcome.and(self.survive(parted).map(drop))
    }

    /// One payment after the other.
    fn pay_and_pay(&mut self, me: &KeyEntry) -> Result<()> {
        loop {
            let outcome = self.one_transfer(me);
            if self.survive(outcome)? == Some(false) {
                return Ok(());
            }
            self.context.output.note("");
        }
    }

    /// Says what went wrong and goes on, unless that is pointless; none if something did.
    fn survive<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        let error = match outcome {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        if error.code() == "GIVEN_UP" && !std::mem::replace(&mut self.gave_up, true) {
            self.context.output.note("(given up; Ctrl-C again leaves, and so does Ctrl-D)");
        } else if ends_the_session(&error) || error.code() == "GIVEN_UP" {
            return Err(error);
        } else {
            self.context.output.error(&error);
        }
        Ok(None)
    }

    /// Makes sure that there is a node to ask.
    fn connect(&mut self) -> Result<()> {
        if self.client.is_none() {
            self.client = Some(self.context.connect()?);
        }
        Ok(())
    }

    /// Watches the account from now on.
    fn watch(&mut self, me: &KeyEntry) {
        let context = &*self.context;
        // Lines of the printer do not pass through the output.
        let printer = self.printer.take().map(|mut printer| {
            let shows = context.output.shows_styles();
            let print = move |text: String| printer(crate::output::style::fit(text, shows));
            Box::new(print) as Printer
        });
        // What went wrong with the balance was said.
        let (address, known, is_lost) = (me.public.address(), self.balance, self.balance.is_none());
        self.live =
            Some(Live::begin(&context.settings, context.quorum(), &context.wallet, address, printer, known, is_lost));
    }

    /// Does what asks for secrets; nothing else is printed meanwhile.
    fn quietly<T>(&mut self, work: impl FnOnce(&mut Context) -> T) -> T {
        self.live.iter().for_each(|live| live.hold(true));
        let outcome = work(self.context);
        self.live.iter().for_each(|live| live.hold(false));
        outcome
    }

    /// Shows the news that could not be shown by themselves.
    fn show_news(&mut self) {
        for Line { text, ends } in self.live.iter().flat_map(Live::take) {
            self.context.output.note(text);
            live::mark_told(&self.context.wallet, ends);
        }
    }

    /// Asks until there is an answer that is not one of the session's words.
    fn question(&mut self, text: &Wording<'_>, words: &[String], me: Option<&KeyEntry>) -> Result<Answer> {
        loop {
            self.show_news();
            let Some(line) = self.context.ask_for(text, words)? else {
                return Ok(Answer::Quit);
            };
            self.gave_up = false;
            match line.as_str() {
                "" => {}
                "quit" | "exit" | "q" => return Ok(Answer::Quit),
                word if is_word(word) => self.obey(word, me)?,
                // Pasted: which of the lines is the answer, only the person knows.
                several if several.contains(['\n', '\r']) => {
                    self.context.output.note("Those are several lines; give one answer at a time, please.");
                }
                _ => return Ok(Answer::Text(line)),
            }
        }
    }

    /// Does what a word stands for, and says what went wrong with it.
    fn obey(&mut self, word: &str, me: Option<&KeyEntry>) -> Result<()> {
        memory::remember(self.context, word);
        let name = me.map(|me| me.name.as_str());
        let context = &mut *self.context;
        let outcome = match (word, me) {
            ("help" | "?", _) => {
                context.output.note(HELP);
                Ok(())
            }
            ("balance", _) => balance::run(context, name),
            ("contacts", _) => contact::list(context),
            ("status", _) => status::run(context),
            (_, None) => {
                context.output.note("say who you are first");
                Ok(())
            }
            ("receive", Some(me)) => {
                let who = Some(me.name.clone());
                let qr = Some(cli::Ground::Auto);
                receive::run(context, &cli::Receive { who, amount: None, label: None, qr, watch: false })
            }
            (_, Some(_)) => history::run(context, name, 20),
        };
        self.survive(outcome).map(drop)
    }

    /// One round of the conversation; false if the person leaves.
    fn one_transfer(&mut self, me: &KeyEntry) -> Result<bool> {
        let (live, known, name) = (self.live.as_ref().map(Live::heard), self.balance, me.name.clone());
        let question = move |columns: usize| {
            let balance = live.as_ref().and_then(Heard::balance).or(known);
            words::recipient_question(name.as_str(), balance, columns)
        };
        let people = words::completed(words::people(self.context)?);
        let Answer::Text(recipient) = self.question(&question, &people, Some(me))? else {
            return Ok(false);
        };
        let Some((to, requested)) = self.find_recipient(&recipient, Some(me))? else {
            return Ok(true);
        };
        let (amount, all) = match requested {
            Some(amount) => (amount, false),
            None => {
                let words = words::completed(vec![MAX.to_owned()]);
                let Answer::Text(amount) = self.question(&|_| "Amount in far: ".to_owned(), &words, Some(me))? else {
                    return Ok(false);
                };
                let all = amount.eq_ignore_ascii_case(MAX);
                // Of all there is, how much that is comes out when the fee is known.
                let parsed = if all { Mites::new(1) } else { send::parse_payment(&amount)? };
                memory::remember(self.context, &amount);
                (parsed, all)
            }
        };
        self.connect()?;
        let wish = Wish { to, amount, fee: None, valid_until: None, memo: Vec::new() };
        self.pay(me, &Order { all, ..wish.into() })?;
        Ok(true)
    }

    /// Shows what a transfer would do, and sends it if the person agrees.
    fn pay(&mut self, me: &KeyEntry, order: &Order) -> Result<()> {
        let Some(client) = self.client.take() else {
            return Ok(());
        };
        let outcome = self.pay_through(&client, me, order);
        self.client = Some(client);
        outcome
    }

    fn pay_through(&mut self, client: &NodeClient, me: &KeyEntry, order: &Order) -> Result<()> {
        let content = outbox::content(&me.public.address(), &order.outputs, order.all, &order.memo);
        let looked = resubmit::look_after_outbox(self.context, client)?;
        let over = match self.was_begun_before(&content, &looked)? {
            Before::Nothing(over) => over,
            Before::Same(looked) => return self.go_on(client, &looked),
            Before::Neither => {
                self.context.output.note("Nothing was sent.");
                return Ok(());
            }
        };
        let network = std::sync::Arc::clone(self.context.settings.network());
        let draw = |bounds| Plan::draw(client, &network, &me.public, order, bounds);
        let plan = draw(self.bounds)?;
        send::check_refused(self.context, client, plan.transaction(), true)?;
        send::describe(self.context, me, &plan)?;
        if !self.agrees("Send it?")? {
            return Ok(());
        }
        let signer = self.quietly(|context| context.unlock(&me.name))?;
        let shown = plan.transaction().clone();
        let sending = self.context.lock_sending()?;
        // While the person was thinking, a block may have come: plan anew, and ask again if it would cost more, or if all that
        // there is has become something else.
        let plan = draw(self.bounds)?;
        if plan.transaction().total() > shown.total() || plan.transaction().outputs() != shown.outputs() {
            send::describe(self.context, me, &plan)?;
            if !self.agrees("That has changed. Send it?")? {
                return Ok(());
            }
        }
        let signed = plan.sign(&*signer, &network)?;
        let marks = Marks { content: Some(content), ..Marks::now(Kind::Payment) };
        let id = signed.transaction().id(network.genesis_id());
        self.await_transfer(&id, true);
        let handed_in = send::hand_in_as(self.context, client, &signed, marks);
        self.await_transfer(&id, handed_in.is_ok());
        drop(sending);
        handed_in?;
        let outbox = self.context.wallet.outbox();
        // What was dropped may come out as the same transfer, whose end nobody was told yet.
        let mut over = over.iter().filter(|over| **over != id);
        send::note_told(self.context, over.try_for_each(|id| outbox.mark_told(id)));
        self.see_through(client, &signed)
    }

    /// Whether the person agrees to a payment: they have to say so after they were asked.
    fn agrees(&mut self, question: &str) -> Result<bool> {
        self.context.drop_typed();
        let agrees = self.context.ask_yes_no(question, false)?;
        if !agrees {
            self.context.output.note("Nothing was sent.");
        }
        Ok(agrees)
    }

    /// Waits until a transfer is mined, and notes that the person was told.
    fn see_through(&mut self, client: &NodeClient, signed: &farthing::SignedTransaction) -> Result<()> {
        let id = signed.transaction().id(self.context.wallet.network().genesis_id());
        let outbox = self.context.wallet.outbox();
        // While this session waits, the same words elsewhere are another payment.
        let _held = outbox.hold(&id)?;
        self.await_transfer(&id, true);
        let outcome = self.wait_for(client, signed);
        if outcome.is_err() {
            // From here on it is news.
            self.await_transfer(&id, false);
        }
        outcome?;
        Ok(outbox.mark_payment_told(&id)?)
    }

    /// Tells of this transfer itself, or leaves it to the news.
    fn await_transfer(&self, id: &farthing::TxId, is_awaited: bool) {
        self.live.iter().for_each(|live| live.await_transfer((*id).into(), is_awaited));
    }

    /// Waits until a transfer is mined; Ctrl-C gives that up.
    fn wait_for(&mut self, client: &NodeClient, signed: &farthing::SignedTransaction) -> Result<()> {
        let parting = self.context.output.parting();
        let progress = self.context.output.progress("waiting for a block (Ctrl-C stops the wait, not the transfer)");
        parting.wait(true);
        let patience = self.context.timeout.unwrap_or(PATIENCE);
        let confirmed = send::wait(self.context, client, signed, 1, patience);
        let is_given_up = parting.is_given_up();
        parting.wait(false);
        drop(progress);
        let confirmed = match confirmed {
            Err(error) if is_given_up && error.exit() == Exit::Unconfirmed => {
                self.context.output.note("\nNot waited for; it is submitted, and a line will say when it is mined.");
                return Err(AskError::GivenUp.into());
            }
            other => other?,
        };
        let height = confirmed.height;
        self.context.output.note(format_args!("Mined in block {height} (verified: it is in your proven history)."));
        self.context.tell(&confirmed.proof);
        Ok(())
    }

    /// Greets somebody who has signed in.
    fn greet(&mut self, me: &KeyEntry) {
        let address = self.context.wallet.show(&me.public.address());
        self.context.output.note(format_args!("Hello {}. Your address is {address}", me.name));
        match self.client.as_ref().map(|client| client.account(&me.public.address())) {
            Some(Ok((proven, _))) => {
                let balance = proven.state().balance;
                self.balance = Some(balance);
                self.context.output.note(format_args!("You have {AMOUNT}{balance} far{AMOUNT:#} (verified)."));
            }
            Some(Err(error)) => self.context.output.error(&error),
            // That was said.
            None => {}
        }
        self.context.tell_remarks();
    }
}
