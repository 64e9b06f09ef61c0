//! A submission that changes nothing: the same rules in the same order, up to the journal.

use std::sync::Arc;

use farthing::{Address, SignedTransaction, TxId, keys::KeySize, tx::TransactionError, wire::Draft};

use super::{Admitted, Outlook, Rejection, shared::Shared, submit::Item};

/// What would happen to a transaction.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// It, with zeros for a signature that it lacks.
    pub transaction: SignedTransaction,
    /// Its id.
    pub id: TxId,
    /// What a submission would answer.
    pub verdict: Result<Admitted, Rejection>,
    /// Whether a signature was verified.
    pub signature_checked: bool,
    /// The particulars.
    pub outlook: Outlook,
}

impl Shared {
    /// See [`Mempool::simulate`](super::Mempool::simulate).
    pub(super) fn simulate(self: &Arc<Self>, draft: Draft) -> Result<Simulation, TransactionError> {
        let is_signed = matches!(draft, Draft::Signed(_));
        // Without its first transaction nobody knows how large an account's key is; it is refused for that.
        let size = self.key_size_of(&draft).unwrap_or(KeySize::Bits2048);
        let transaction = draft.with_placeholder(size)?;
        let id = transaction.transaction().id(self.params.genesis_id());
        let outlook = self.read(|pool| pool.foresee(&transaction, id));
        let (verdict, signature_checked) = match &outlook.before_signature {
            Ok(Some(status)) => (Ok(*status), false),
            Err(rejection) => (Err(rejection.clone()), false),
            Ok(None) => match self.check_signature(&transaction, id, is_signed) {
                Err(rejection) => {
                    let checked = matches!(rejection, Rejection::BadSignature(_));
                    (Err(rejection), checked)
                }
                Ok(()) => (outlook.behind_signature.clone(), is_signed),
            },
        };
        let verdict = verdict.map(|status| Admitted { id, status });
        Ok(Simulation { transaction, id, verdict, signature_checked, outlook })
    }

    /// Looks at the key, and at the signature if there is one.
    fn check_signature(&self, transaction: &SignedTransaction, id: TxId, is_signed: bool) -> Result<(), Rejection> {
        let address = transaction.transaction().sender_address();
        let item = Item { at: 0, id, transaction: transaction.clone() };
        let key = self.keys(&[item]).remove(&address).unwrap_or(Err(Rejection::KeyUnknown { address }))?;
        if !is_signed || self.ledger.is_verified(&transaction.wire_id()) {
            return Ok(());
        }
        transaction.verify(self.params.genesis_id(), &key).map_err(Rejection::BadSignature)
    }

    fn key_size_of(&self, draft: &Draft) -> Option<KeySize> {
        match draft.transaction().sender() {
            farthing::Sender::Key(key) => Some(key.size()),
            farthing::Sender::Address(address) => self.key_size(address),
        }
    }

    /// Size of an account's key, from the chain or from its first transaction in the pool.
    pub(super) fn key_size(&self, address: &Address) -> Option<KeySize> {
        let on_chain = self.ledger.verifying_key(address).map(|key| key.public_key().size());
        on_chain.or_else(|| self.read(|pool| pool.first_key(address)).map(|key| key.size()))
    }
}
