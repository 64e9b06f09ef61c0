//! Every error says what to do next.

use std::{io, path::PathBuf, time::Duration};

use farthing::{
    BlockId, Height, Mites, PublicKey, TimeMs, TxId, Work, address::ParseAddressError, codec::DecodeError,
    keys::KeyError, keys::SignatureError, params::ParamsFileError, proof::ProofError,
    transaction_proof::TransactionProofError, tx::TransactionError, wire::WireError,
};
use farthing_consensus::{ChainProofError, HeaderError};
use tonic::Code;

use crate::{
    armor::ArmorError,
    backup::BackupError,
    client::NodeError,
    commands::pay::PayError,
    config::ConfigError,
    contacts::ContactsError,
    context::AskError,
    disk::DiskError,
    error::Explain,
    keystore::{
        AgentError, ExportError, Holder, ImportError, KeystoreError, PemError, SecretKeyError, SignError, TokenError,
        TokenUri, UnlockError,
    },
    light::ChainError,
    message::MessageError,
    name::{Name, NameError},
    outbox::{Kind, OutboxError},
    passphrase::PassphraseError,
    receipt::ReceiptError,
    transfer::TransferError,
    transfer_file::TransferFileError,
    verify::VerifyError,
    wallet::{AddressFault, LookupError},
};

fn path() -> PathBuf {
    PathBuf::from("wallet/file")
}

fn name() -> Name {
    "erin".parse().unwrap()
}

fn toml() -> toml::de::Error {
    toml::from_str::<toml::Table>("=").unwrap_err()
}

fn address() -> ParseAddressError {
    farthing::params::Network::Dev.params().prefix.parse("x").unwrap_err()
}

fn io() -> io::Error {
    io::Error::other("full")
}

fn disk() -> Vec<DiskError> {
    vec![
        DiskError::Exists { path: path() },
        DiskError::Missing { path: path() },
        DiskError::Symlink { path: path() },
        DiskError::Kind { path: path(), expected: "file" },
        DiskError::LooseMode { path: path(), mode: 0o644, expected: 0o600 },
        DiskError::Foreign { path: path(), owner: 1, expected: 2 },
        DiskError::TooLong { path: path(), max: 1 },
        DiskError::Busy { path: path(), seconds: 60 },
        DiskError::Io { action: "read", path: path(), source: io() },
    ]
}

fn passphrases() -> Vec<PassphraseError> {
    let plain = [
        PassphraseError::Empty,
        PassphraseError::TooShort { length: 1 },
        PassphraseError::Control,
        PassphraseError::NotText,
        PassphraseError::Mismatch,
        PassphraseError::NoTerminal,
        PassphraseError::Interrupted,
        PassphraseError::Ended,
        PassphraseError::Descriptor { number: 3, source: DiskError::Missing { path: path() } },
        PassphraseError::Askpass { program: path(), source: io() },
        PassphraseError::NoAnswer { program: path(), status: std::process::ExitStatus::default() },
    ];
    plain.into_iter().chain(disk().into_iter().map(PassphraseError::File)).collect()
}

fn secrets() -> Vec<SecretKeyError> {
    vec![
        SecretKeyError::Size(1),
        SecretKeyError::Exponent,
        SecretKeyError::MultiPrime,
        SecretKeyError::ShortPrime { bits: 1, expected: 2 },
        SecretKeyError::Inconsistent,
        SecretKeyError::Public(key_error()),
        SecretKeyError::ClosePrimes(100),
        SecretKeyError::DoesNotSign,
    ]
}

fn key_error() -> KeyError {
    farthing::PublicKey::from_spki(b"x").unwrap_err()
}

fn imports() -> Vec<ImportError> {
    let unlock = [
        UnlockError::WrongPassphrase,
        UnlockError::Damaged("x".into()),
        UnlockError::Unsupported("x".into()),
        UnlockError::TooCostly("x".into()),
    ];
    let plain = [
        ImportError::Pem(PemError::NoBlock),
        ImportError::NotAPrivateKey("x".into()),
        ImportError::SeveralKeys(2),
        ImportError::NotAPrivateKey("PUBLIC KEY".into()),
        ImportError::NotAPublicKey("x".into()),
        ImportError::NotRsa("x".into()),
        ImportError::Damaged { label: "x".into(), reason: "x".into() },
        ImportError::Parser,
    ];
    plain
        .into_iter()
        .chain(unlock.into_iter().map(ImportError::Unlock))
        .chain(secrets().into_iter().map(ImportError::Rules))
        .chain(passphrases().into_iter().map(ImportError::Passphrase))
        .collect()
}

fn keystore() -> Vec<KeystoreError> {
    let plain = [
        KeystoreError::NotFound { name: name(), known: Vec::new() },
        KeystoreError::NotFound { name: name(), known: vec![name()] },
        KeystoreError::NameTaken { name: name() },
        KeystoreError::KeyTaken { name: name(), holder: Holder::File },
        KeystoreError::KeyTaken { name: name(), holder: Holder::Nobody },
        KeystoreError::Changed { name: name() },
        KeystoreError::Unencrypted { name: name(), path: path() },
        KeystoreError::NoPublic { name: name(), path: path() },
        KeystoreError::Tampered { path: path() },
        KeystoreError::Public { path: path(), source: key_error() },
        KeystoreError::NotHere { name: name(), holder: Holder::Nobody },
        KeystoreError::NotHere { name: name(), holder: Holder::File },
        KeystoreError::Holder { path: path(), found: "x".into() },
        KeystoreError::StrangeFile { path: path() },
    ];
    plain
        .into_iter()
        .chain(imports().into_iter().map(|source| KeystoreError::Open { name: name(), source }))
        .chain(secrets().into_iter().map(KeystoreError::Secret))
        .chain(disk().into_iter().map(KeystoreError::Disk))
        .collect()
}

fn agents() -> Vec<AgentError> {
    vec![
        AgentError::NoSocket,
        AgentError::Line { path: path(), source: io() },
        AgentError::Refused("x".into()),
        AgentError::Answer("x"),
        AgentError::NoKeys,
        AgentError::TooLong,
        AgentError::SeveralKeys { fingerprints: vec!["x".into()] },
        AgentError::NotThere("x".into()),
    ]
}

fn tokens() -> Vec<TokenError> {
    let uri = || "pkcs11:object=x".parse::<TokenUri>().unwrap();
    let source = || cryptoki::error::Error::NotSupported;
    let plain = [
        TokenError::NoModule(uri()),
        TokenError::Module { path: path(), source: source() },
        TokenError::Tokens { uri: uri(), found: 0, labels: Vec::new() },
        TokenError::Keys { uri: uri(), found: 2 },
        TokenError::Taken(uri()),
        TokenError::OtherKey(uri()),
        TokenError::WrongPin(source()),
        TokenError::Locked,
        TokenError::Token { action: "sign", source: source() },
    ];
    let rules = secrets().into_iter().map(TokenError::Rules);
    plain.into_iter().chain(rules).chain(passphrases().into_iter().map(TokenError::Pin)).collect()
}

fn config() -> Vec<ConfigError> {
    let parameters = "=".parse::<farthing::Params>().map_err(|error: ParamsFileError| error).unwrap_err();
    let plain = [
        ConfigError::UnknownNetwork("x".into()),
        ConfigError::NetworkParameters { path: path(), source: parameters },
        ConfigError::NodeUrl("x".into()),
        ConfigError::Tls("x".into()),
        ConfigError::NoFolder,
        ConfigError::Syntax { path: path(), source: toml() },
        ConfigError::OtherNetwork { path: path(), found: "x".into(), expected: "x".into() },
    ];
    plain
        .into_iter()
        .chain(disk().into_iter().map(ConfigError::NetworkFile))
        .chain(disk().into_iter().map(ConfigError::Disk))
        .collect()
}

fn from_the_future() -> ChainError {
    ChainError::FromTheFuture { height: Height::new(1), ahead: Duration::from_secs(1_200) }
}

fn chains() -> Vec<ChainError> {
    let (height, work, cache) = (Height::new(1), Work::new(1), Some(path()));
    vec![
        ChainError::Proof(ChainProofError::NotShown { height: 1 }),
        ChainError::Header { height, error: HeaderError::TimeTooLarge(TimeMs::new(1)) },
        ChainError::OffChain { height, id: BlockId::ZERO },
        from_the_future(),
        ChainError::TooLittleWork { height, work, minimum: work },
        ChainError::Contradiction { height, found: work, expected: work, cache: cache.clone() },
        ChainError::LessWork {
            height,
            work,
            known_height: height,
            known_work: work,
            is_old: true,
            cache: cache.clone(),
        },
        ChainError::LessWork { height, work, known_height: height, known_work: work, is_old: false, cache },
    ]
}

fn nodes() -> Vec<NodeError> {
    let url = || "http://127.0.0.1:1".to_owned();
    let text = || "x".to_owned();
    vec![
        NodeError::Unreachable { url: url(), network: text(), source: text().into() },
        NodeError::NotNow { url: url(), reason: text(), message: text() },
        NodeError::Syncing { url: url() },
        NodeError::Refused { reason: text(), message: text(), code: Code::NotFound, required_fee: None },
        NodeError::WrongPort { url: url() },
        NodeError::TooOld { url: url() },
        NodeError::Malformed(WireError::missing("x")),
        NodeError::Local(io()),
    ]
}

fn transfers() -> Vec<TransferError> {
    let (id, one) = (TxId::from_bytes([1; 32]), Mites::new(1));
    vec![
        TransferError::Fields(TransactionError::OutputCount(0)),
        TransferError::FeeBelowOpening { fee: one, opening: one },
        TransferError::Overflow,
        TransferError::Funds { needed: one, spendable: one, pending: one },
        TransferError::Funds { needed: one, spendable: one, pending: Mites::ZERO },
        TransferError::NodeFunds { message: "x".into() },
        TransferError::FeeAboveBound { fee: one, bound: one, which: "x" },
        TransferError::NonceGap { nonce: 1, chain_nonce: 0 },
        TransferError::Rejected { id: None, reason: "x".into(), message: "x".into(), required_fee: None },
        TransferError::Rejected { id: None, reason: "x".into(), message: "x".into(), required_fee: Some(one) },
        TransferError::Dropped { id, reason: "x".into() },
        TransferError::Uncertain { id, source: nodes().remove(1) },
        TransferError::NotTaken { id, kind: Kind::Payment, source: nodes().remove(1) },
        TransferError::NotTaken { id, kind: Kind::Cancel, source: nodes().remove(1) },
        TransferError::InDoubt { id, nonce: 1 },
        TransferError::MinedAfterAll(id),
        TransferError::NotTakenOut {
            id,
            refusal: nodes().remove(1),
            source: Box::new(OutboxError::OtherId { path: path(), found: id }),
        },
        TransferError::NotWaiting { count: 1 },
        TransferError::Replaced { count: 1 },
        TransferError::Unconfirmed { id, confirmations: 0, wanted: 1, seconds: 1 },
    ]
}

fn files() -> Vec<Box<dyn Explain>> {
    let signature = || SignatureError::Mismatch;
    let key = || PublicKey::from_spki(&[]).unwrap_err();
    let damaged = || <farthing::SignedTransaction as farthing::codec::Canonical>::from_canonical(&[]).unwrap_err();
    let id = TxId::from_bytes([1; 32]);
    vec![
        Box::new(TransferFileError::Armor { path: path(), source: ArmorError::Checksum }),
        Box::new(TransferFileError::Content { path: path(), source: damaged() }),
        Box::new(TransferFileError::ForeignKey { path: path() }),
        Box::new(TransferFileError::Key(key())),
        Box::new(TransferFileError::OtherNetwork { found: "x".into(), expected: "y".into() }),
        Box::new(TransferFileError::Signed),
        Box::new(TransferFileError::Unsigned),
        Box::new(TransferFileError::BadSignature(signature())),
        Box::new(TransferFileError::TooLarge(TransactionError::OutputCount(0))),
        Box::new(ReceiptError::Armor { path: path(), source: ArmorError::Base64 }),
        Box::new(ReceiptError::Content { path: path(), reason: "x".into() }),
        Box::new(ReceiptError::OtherNetwork { found: "x".into(), expected: "y".into() }),
        Box::new(ReceiptError::Chain(ChainProofError::NotShown { height: 1 })),
        Box::new(ReceiptError::Transfer(TransactionProofError::CoinbasePlace)),
        Box::new(ReceiptError::Account(ProofError::StepsWithoutLeaf(1).into())),
        Box::new(ReceiptError::Contradiction("x")),
        Box::new(ReceiptError::Link {
            height: Height::new(1),
            error: Box::new(HeaderError::TimeTooLarge(TimeMs::new(1))),
        }),
        Box::new(ReceiptError::Clock(from_the_future())),
        Box::new(ReceiptError::TooDeep { blocks: 2, most: 1 }),
        Box::new(ReceiptError::NotMined(id)),
        Box::new(ReceiptError::Unknown(id)),
        Box::new(ReceiptError::Moving(1)),
    ]
}

fn others() -> Vec<Box<dyn Explain>> {
    let address_text = || "x".to_owned();
    let damaged = <farthing::SignedTransaction as farthing::codec::Canonical>::from_canonical(&[]);
    let damaged: DecodeError = damaged.unwrap_err();
    vec![
        Box::new(AskError::Declined("x")),
        Box::new(AskError::NoTerminal("x")),
        Box::new(AskError::NameNeeded { what: "x", name: name() }),
        Box::new(AskError::NameDiffers { what: "x", name: name(), given: "x".into() }),
        Box::new(BackupError::Empty),
        Box::new(BackupError::TooLarge),
        Box::new(BackupError::Strange(path())),
        Box::new(BackupError::Write(io())),
        Box::new(BackupError::Damaged("x".into())),
        Box::new(BackupError::WrongPassphrase),
        Box::new(BackupError::TooCostly(40)),
        Box::new(BackupError::Foreign("x".into())),
        Box::new(BackupError::Differs { paths: vec![path()] }),
        Box::new(MessageError::Transfer),
        Box::new(MessageError::MeansSomething("x")),
        Box::new(MessageError::Unreadable("x")),
        Box::new(MessageError::KeyNeeded),
        Box::new(MessageError::Namespace { found: "x".into(), expected: "x".into() }),
        Box::new(MessageError::BadNamespace("x".into())),
        Box::new(MessageError::Bad),
        Box::new(MessageError::OtherSigner { found: "x".into(), expected: "x".into() }),
        Box::new(SignError::DoesNotVerify(farthing::Signature::from_bytes(b"x").unwrap_err())),
        Box::new(ExportError::WeakEncryption),
        Box::new(ExportError::PublicOnly),
        Box::new(AskError::Ended),
        Box::new(AskError::Io(io())),
        Box::new(NameError::Empty),
        Box::new(SignError::OtherSender),
        Box::new(SignError::Key(SecretKeyError::Exponent)),
        Box::new(SignError::TooLarge(TransactionError::OutputCount(0))),
        Box::new(ContactsError::Syntax { path: path(), source: toml() }),
        Box::new(ContactsError::Address { path: path(), name: name(), source: address() }),
        Box::new(ContactsError::Taken { name: name(), address: address_text() }),
        Box::new(ContactsError::NotFound { name: name(), near: None }),
        Box::new(ContactsError::OwnKey { name: name(), address: address_text() }),
        Box::new(OutboxError::Syntax { path: path(), source: toml() }),
        Box::new(OutboxError::Transfer { path: path(), source: damaged }),
        Box::new(OutboxError::OtherId { path: path(), found: TxId::from_bytes([1; 32]) }),
        Box::new(OutboxError::Named { id: TxId::from_bytes([1; 32]), key: "rent".parse().unwrap() }),
        Box::new(LookupError::UnknownName { name: name(), near: None, well_known: true }),
        Box::new(LookupError::Ambiguous { name: name(), contact: address_text(), own: address_text() }),
        Box::new(LookupError::Malformed { text: address_text(), source: AddressFault::Slip }),
        Box::new(LookupError::OtherNetwork { text: address_text(), source: address() }),
        Box::new(LookupError::NoKeys),
        Box::new(LookupError::SeveralKeys { names: vec![name()] }),
        Box::new(VerifyError::NoProof),
        Box::new(VerifyError::GenesisAbove(Height::new(1))),
        Box::new(VerifyError::HistoryChanged),
        Box::new(VerifyError::NotInHistory),
    ]
}

fn payrolls() -> Vec<PayError> {
    vec![
        PayError::Columns { file: path(), why: "x".into() },
        PayError::Rows { file: path(), bad: 1, rows: 2 },
        PayError::Empty(path()),
        PayError::TooMany { file: path(), most: 1 },
        PayError::TotalAboveBound { total: Mites::new(2), bound: Mites::new(1) },
        PayError::AlreadyPaid("x".into()),
        PayError::NothingToResume("x".into()),
        PayError::OtherIsOpen("x".into()),
        PayError::NotPaid { rows: 1 },
    ]
}

fn boxed<E: Explain + 'static>(errors: Vec<E>) -> impl Iterator<Item = Box<dyn Explain>> {
    errors.into_iter().map(|error| Box::new(error) as Box<dyn Explain>)
}

#[test]
fn every_error_says_what_to_do_next() {
    let all = boxed(disk())
        .chain(boxed(passphrases()))
        .chain(boxed(keystore()))
        .chain(boxed(imports()))
        .chain(boxed(agents()))
        .chain(boxed(tokens()))
        .chain(boxed(agents().into_iter().map(SignError::Agent).collect()))
        .chain(boxed(tokens().into_iter().map(SignError::Token).collect()))
        .chain(boxed(agents().into_iter().map(KeystoreError::Agent).collect()))
        .chain(boxed(tokens().into_iter().map(KeystoreError::Token).collect()))
        .chain(boxed(config()))
        .chain(boxed(nodes()))
        .chain(boxed(chains()))
        .chain(boxed(transfers()))
        .chain(boxed(payrolls()))
        .chain(files())
        .chain(others());
    for error in all {
        let tries = error.tries();
        assert!(!tries.is_empty() && tries.iter().all(|text| !text.is_empty()), "{}: {error}", error.code());
    }
}
