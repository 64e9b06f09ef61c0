//! Look-ups: what a request names, in whichever of its forms.

use super::{WireError, field, v1};
use crate::{Address, AddressPrefix, BlockId, Height, TxId};

/// Which block is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockLookup {
    /// The block with this id, on any branch.
    Id(BlockId),
    /// The block of the best chain at this height.
    Height(Height),
}

impl TryFrom<v1::GetBlockRequest> for BlockLookup {
    type Error = WireError;

    fn try_from(request: v1::GetBlockRequest) -> Result<Self, WireError> {
        use v1::get_block_request::Block;
        match request.block.ok_or_else(|| WireError::missing("block"))? {
            Block::BlockId(bytes) => Ok(Self::Id(field::hash("block_id", &bytes)?)),
            Block::BlockIdHex(text) => Ok(Self::Id(hex("block_id_hex", &text)?)),
            Block::Height(height) => Ok(Self::Height(Height::new(height))),
        }
    }
}

macro_rules! transaction_lookup {
    ($($request:ident / $module:ident),*) => {$(
        impl TryFrom<v1::$request> for TxId {
            type Error = WireError;

            fn try_from(request: v1::$request) -> Result<Self, WireError> {
                match request.id.ok_or_else(|| WireError::missing("id"))? {
                    v1::$module::Id::TransactionId(bytes) => field::hash("transaction_id", &bytes),
                    v1::$module::Id::TransactionIdHex(text) => hex("transaction_id_hex", &text),
                }
            }
        }
    )*};
}
transaction_lookup!(
    GetTransactionRequest / get_transaction_request,
    GetTransactionProofRequest / get_transaction_proof_request
);

impl TryFrom<&v1::WatchTransactionRequest> for TxId {
    type Error = WireError;

    fn try_from(request: &v1::WatchTransactionRequest) -> Result<Self, WireError> {
        use v1::watch_transaction_request::Id;
        match request.id.as_ref().ok_or_else(|| WireError::missing("id"))? {
            Id::TransactionId(bytes) => field::hash("transaction_id", bytes),
            Id::TransactionIdHex(text) => hex("transaction_id_hex", text),
        }
    }
}

/// An address in either form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressLookup {
    /// 32 bytes.
    Bytes(prost::bytes::Bytes),
    /// bech32m with the network's prefix.
    Text(String),
}

impl AddressLookup {
    /// The address, if it is one of the network with this prefix.
    ///
    /// # Errors
    /// If the bytes have the wrong length, or the text is not an address of this network.
    pub fn resolve(&self, prefix: &AddressPrefix) -> Result<Address, WireError> {
        match self {
            Self::Bytes(bytes) => field::hash("address", bytes),
            Self::Text(text) => prefix.parse(text).map_err(|error| WireError::new("address_text", error)),
        }
    }
}

macro_rules! address_lookup {
    ($($request:ident / $module:ident),*) => {$(
        impl TryFrom<&v1::$request> for AddressLookup {
            type Error = WireError;

            fn try_from(request: &v1::$request) -> Result<Self, WireError> {
                match request.id.clone().ok_or_else(|| WireError::missing("id"))? {
                    v1::$module::Id::Address(bytes) => Ok(Self::Bytes(bytes)),
                    v1::$module::Id::AddressText(text) => Ok(Self::Text(text)),
                }
            }
        }
    )*};
}
address_lookup!(
    GetAccountRequest / get_account_request,
    ListAccountEntriesRequest / list_account_entries_request,
    WatchAccountRequest / watch_account_request
);

/// Where a stream of headers starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadersStart {
    /// With the header at this height.
    Height(Height),
    /// Behind this header.
    After(BlockId),
}

impl TryFrom<&v1::GetHeadersRequest> for HeadersStart {
    type Error = WireError;

    fn try_from(request: &v1::GetHeadersRequest) -> Result<Self, WireError> {
        use v1::get_headers_request::Start;
        match &request.start {
            None => Ok(Self::Height(Height::GENESIS)),
            Some(Start::FromHeight(height)) => Ok(Self::Height(Height::new(*height))),
            Some(Start::AfterBlockId(bytes)) => Ok(Self::After(field::hash("after_block_id", bytes)?)),
            Some(Start::AfterBlockIdHex(text)) => Ok(Self::After(hex("after_block_id_hex", text)?)),
        }
    }
}

/// Where a subscription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamStart {
    /// With the next change of the tip.
    Tip,
    /// With the block at this height.
    Height(Height),
    /// Behind this block.
    After(BlockId),
    /// Behind the frame with this cursor, which only a node can read.
    Cursor(prost::bytes::Bytes),
}

impl TryFrom<&v1::SubscribeBlocksRequest> for StreamStart {
    type Error = WireError;

    fn try_from(request: &v1::SubscribeBlocksRequest) -> Result<Self, WireError> {
        use v1::subscribe_blocks_request::Start;
        match &request.start {
            None | Some(Start::FromTip(true)) => Ok(Self::Tip),
            Some(Start::FromTip(false)) => {
                let fault = super::WireFault::Unexpected { expected: "true, or another start" };
                Err(WireError::new("from_tip", fault))
            }
            Some(Start::FromHeight(height)) => Ok(Self::Height(Height::new(*height))),
            Some(Start::AfterBlockId(bytes)) => Ok(Self::After(field::hash("after_block_id", bytes)?)),
            Some(Start::AfterBlockIdHex(text)) => Ok(Self::After(hex("after_block_id_hex", text)?)),
            Some(Start::Cursor(cursor)) => Ok(Self::Cursor(cursor.clone())),
        }
    }
}

fn hex<T>(field: &'static str, text: &str) -> Result<T, WireError>
where
    T: std::str::FromStr<Err = crate::hash::ParseHashError>,
{
    text.parse().map_err(|error: crate::hash::ParseHashError| WireError::new(field, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Network;

    #[test]
    fn a_block_is_found_by_either_form_of_its_id_or_by_height() {
        use v1::get_block_request::Block;
        let id = BlockId::from_bytes([0xab; 32]);
        let read = |block| {
            BlockLookup::try_from(v1::GetBlockRequest { block, read_mask: None }).map_err(|error| error.to_string())
        };
        assert_eq!(read(Some(Block::BlockId(vec![0xab; 32].into()))), Ok(BlockLookup::Id(id)));
        assert_eq!(read(Some(Block::BlockIdHex("ab".repeat(32)))), Ok(BlockLookup::Id(id)));
        assert_eq!(read(Some(Block::Height(7))), Ok(BlockLookup::Height(Height::new(7))));
        assert_eq!(read(None), Err("block: is required".into()));
        assert_eq!(read(Some(Block::BlockId(vec![1].into()))), Err("block_id: expected 32 bytes, got 1".into()));
        let error = read(Some(Block::BlockIdHex("ab".into())));
        assert_eq!(error, Err("block_id_hex: a hash has 64 hex digits, not 2".into()));
    }

    #[test]
    fn a_transaction_is_found_by_either_form_of_its_id() {
        use v1::get_transaction_request::Id;
        let read =
            |id| TxId::try_from(v1::GetTransactionRequest { id, read_mask: None }).map_err(|error| error.to_string());
        let id = TxId::from_bytes([0xcd; 32]);
        assert_eq!(read(Some(Id::TransactionId(vec![0xcd; 32].into()))), Ok(id));
        assert_eq!(read(Some(Id::TransactionIdHex(id.to_string()))), Ok(id));
        assert_eq!(read(None), Err("id: is required".into()));
        assert_eq!(
            read(Some(Id::TransactionId(vec![].into()))),
            Err("transaction_id: expected 32 bytes, got 0".into())
        );
        let error = read(Some(Id::TransactionIdHex("g".repeat(64))));
        assert_eq!(error, Err("transaction_id_hex: 'g' at position 0 is not a hex digit".into()));
    }

    #[test]
    fn an_account_is_found_by_either_form_of_its_address_and_only_on_its_network() {
        use v1::get_account_request::Id;
        let prefix = &Network::Dev.params().prefix;
        let address = Address::from_bytes([3; 32]);
        let read = |id| {
            AddressLookup::try_from(&v1::GetAccountRequest { id, with_proof: false })
                .and_then(|lookup| lookup.resolve(prefix))
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(Some(Id::Address(vec![3; 32].into()))), Ok(address));
        assert_eq!(read(Some(Id::AddressText(prefix.format(&address)))), Ok(address));
        assert_eq!(read(None), Err("id: is required".into()));
        assert_eq!(read(Some(Id::Address(vec![3; 20].into()))), Err("address: expected 32 bytes, got 20".into()));
        let foreign = Network::Main.params().prefix.format(&address);
        let error = read(Some(Id::AddressText(foreign))).unwrap_err();
        assert_eq!(error, "address_text: the address is for a network with prefix \"far\", this one has \"dfar\"");
    }

    #[test]
    fn a_stream_starts_at_the_tip_unless_told_otherwise() {
        use v1::subscribe_blocks_request::Start;
        let read = |start| {
            let request = v1::SubscribeBlocksRequest { start, ..Default::default() };
            StreamStart::try_from(&request).map_err(|error| error.to_string())
        };
        let id = BlockId::from_bytes([1; 32]);
        assert_eq!(read(None), Ok(StreamStart::Tip));
        assert_eq!(read(Some(Start::FromTip(true))), Ok(StreamStart::Tip));
        assert_eq!(read(Some(Start::FromTip(false))), Err("from_tip: expected true, or another start".into()));
        assert_eq!(read(Some(Start::FromHeight(3))), Ok(StreamStart::Height(Height::new(3))));
        assert_eq!(read(Some(Start::AfterBlockId(vec![1; 32].into()))), Ok(StreamStart::After(id)));
        assert_eq!(read(Some(Start::AfterBlockIdHex(id.to_string()))), Ok(StreamStart::After(id)));
        let error = read(Some(Start::AfterBlockId(vec![1; 2].into())));
        assert_eq!(error, Err("after_block_id: expected 32 bytes, got 2".into()));
    }
}
