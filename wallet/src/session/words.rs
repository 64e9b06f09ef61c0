//! The words of the session: what can be typed at every question, what Tab completes, and what somebody may have meant.

use farthing::Mites;

pub(super) use crate::lookalike::nearest;
use crate::{context::Context, error::Result, keystore::dev};

/// What can be typed at any question instead of an answer.
pub(super) const WORDS: [&str; 7] = ["balance", "history", "contacts", "status", "receive", "help", "quit"];

/// The names of the wallet's own keys.
pub(super) fn keys(context: &Context) -> Result<Vec<String>> {
    Ok(context.wallet.keys().list()?.iter().map(|entry| entry.name.as_str().to_owned()).collect())
}

/// Every name that leads to an account: contacts, keys and, on development networks, the well-known accounts.
pub(super) fn people(context: &Context) -> Result<Vec<String>> {
    let mut names = keys(context)?;
    names.extend(context.wallet.contacts()?.iter().map(|(name, _)| name.as_str().to_owned()));
    if context.wallet.network().is_dev() {
        names.extend(dev::names().map(str::to_owned));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// What Tab completes where these names are asked for.
pub(super) fn completed(mut names: Vec<String>) -> Vec<String> {
    names.extend(WORDS.map(str::to_owned));
    names
}

/// Asks for a recipient, in so many columns if that can be, and says what the account holds.
pub(super) fn recipient_question(name: &str, balance: Option<Mites>, columns: usize) -> String {
    let standing = balance.map(|balance| format!("[{name} {balance} far] ")).unwrap_or_default();
    let questions = ["Recipient's name or address: ", "Name or address: ", "Recipient: ", "To: "];
    let all = questions.iter().map(|question| format!("{standing}{question}"));
    all.chain(["To: ".to_owned()]).find(|text| text.len() <= columns).unwrap_or_else(|| "To: ".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_leaves_room_on_a_narrow_terminal() {
        let balance = Some(Mites::from_far(1_000_000).unwrap());
        let question = |columns| recipient_question("alice", balance, columns);
        assert_eq!(question(64), "[alice 1000000 far] Recipient's name or address: ");
        assert_eq!(question(40), "[alice 1000000 far] Name or address: ");
        assert_eq!(question(24), "[alice 1000000 far] To: ");
        assert_eq!(question(20), "To: ");
        assert_eq!(question(0), "To: ");
        assert_eq!(recipient_question("alice", None, 64), "Recipient's name or address: ");
    }

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_name_is_not() {
        let names = ["alice", "bob", "carol", "dave"];
        let nearest = |typed| nearest(typed, names.iter().chain(&WORDS).copied());
        for (typed, meant) in [
            ("bbo", "bob"),
            ("alcie", "alice"),
            ("Caroll", "carol"),
            ("balnce", "balance"),
            ("hepl", "help"),
            ("bo", "bob"),
        ] {
            assert_eq!(nearest(typed), Some(meant), "{typed}");
        }
        for typed in ["erin", "frank", "bob", "zoe", "exit", "x"] {
            assert_eq!(nearest(typed), None, "{typed}");
        }
    }
}
