//! Accounts both ways.

use super::{WireError, field, v1};
use crate::{Account, Mites};

impl From<&Account> for v1::Account {
    fn from(account: &Account) -> Self {
        Self {
            balance_mites: account.balance.get(),
            next_nonce: account.next_nonce,
            entries: account.entries,
            history: field::bytes32(account.history.as_bytes()),
        }
    }
}

impl TryFrom<v1::Account> for Account {
    type Error = WireError;

    fn try_from(message: v1::Account) -> Result<Self, WireError> {
        Ok(Self {
            balance: Mites::new(message.balance_mites),
            next_nonce: message.next_nonce,
            entries: message.entries,
            history: field::hash("history", &message.history)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::samples::account;

    proptest! {
        #[test]
        fn an_account_survives_the_wire(account in account()) {
            prop_assert_eq!(Account::try_from(v1::Account::from(&account)), Ok(account));
        }
    }

    #[test]
    fn a_history_of_the_wrong_length_is_named() {
        let message = v1::Account { history: vec![0; 33].into(), ..v1::Account::default() };
        assert_eq!(Account::try_from(message).unwrap_err().to_string(), "history: expected 32 bytes, got 33");
    }
}
