//! Which transactions a stream is to tell of.

use std::collections::BTreeSet;

use super::{WireError, WireFault, field, v1};
use crate::{Address, AddressPrefix, SignedTransaction};

/// Most addresses of one filter.
pub const MAX_FILTER_ADDRESSES: usize = 64;

/// The transactions that one of some addresses sends or receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionFilter(BTreeSet<Address>);

impl TransactionFilter {
    /// Reads a filter for the network with this prefix.
    ///
    /// # Errors
    /// If there are no addresses or too many, or one is none of this network.
    pub fn read(message: &v1::AddressFilter, prefix: &AddressPrefix) -> Result<Self, WireError> {
        let found = message.addresses.len().saturating_add(message.address_texts.len());
        if found == 0 || found > MAX_FILTER_ADDRESSES {
            let fault = WireFault::Count { unit: "addresses", min: 1, max: MAX_FILTER_ADDRESSES, found };
            return Err(WireError::new("filter", fault));
        }
        let bytes = message.addresses.iter().enumerate().map(|(at, bytes)| {
            field::hash::<Address>("", bytes).map_err(|error| error.within_item("filter.addresses", at))
        });
        let texts = message.address_texts.iter().enumerate().map(|(at, text)| {
            prefix.parse(text).map_err(|error| WireError::new("", error).within_item("filter.address_texts", at))
        });
        bytes.chain(texts).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of the addresses sends or receives it.
    #[must_use]
    pub fn matches(&self, signed: &SignedTransaction) -> bool {
        let transaction = signed.transaction();
        self.0.contains(&transaction.sender_address())
            || transaction.outputs().iter().any(|output| self.0.contains(&output.to))
    }

    /// The addresses in order.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Network;

    fn read(addresses: Vec<Vec<u8>>, address_texts: Vec<String>) -> Result<TransactionFilter, String> {
        let addresses = addresses.into_iter().map(Into::into).collect();
        let message = v1::AddressFilter { addresses, address_texts };
        TransactionFilter::read(&message, &Network::Dev.params().prefix).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_of_either_form_are_one_set() {
        let text = Network::Dev.params().prefix.format(&Address::from_bytes([3; 32]));
        let filter = read(vec![vec![3; 32], vec![1; 32]], vec![text]).unwrap();
        assert_eq!(filter.addresses().copied().collect::<Vec<_>>(), [[1; 32], [3; 32]].map(Address::from_bytes));
    }

    #[test]
    fn no_address_too_many_and_one_that_is_none_are_refused_with_their_place() {
        assert_eq!(read(vec![], vec![]), Err("filter: expected 1 to 64 addresses, got 0".into()));
        assert!(read(vec![vec![1; 32]; 64], vec![]).is_ok());
        assert_eq!(
            read(vec![vec![1; 32]; 64], vec!["x".into()]),
            Err("filter: expected 1 to 64 addresses, got 65".into())
        );
        assert_eq!(
            read(vec![vec![1; 32], vec![1; 31]], vec![]),
            Err("filter.addresses[1]: expected 32 bytes, got 31".into())
        );
        let foreign = Network::Main.params().prefix.format(&Address::from_bytes([3; 32]));
        let error = read(vec![], vec![foreign]).unwrap_err();
        assert!(error.starts_with("filter.address_texts[0]: the address is for a network"), "{error}");
    }
}
