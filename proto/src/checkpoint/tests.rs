use super::*;
use crate::{
    Account, Address, Coinbase, Mites, Network, PublicKey,
    codec::DecodeError,
    keys::KeyError,
    merkle::{TxPathError, tx_path, tx_root},
};

/// A well-formed key; no signature was ever made with it.
fn key(byte: u8) -> PublicKey {
    let mut spki = hex::decode("30820122300d06092a864886f70d01010105000382010f003082010a0282010100").unwrap();
    spki.push(0x80 | byte);
    spki.extend([byte; 254]);
    spki.push(byte | 1);
    spki.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    PublicKey::from_spki(&spki).unwrap()
}

fn account(address: Address, next_nonce: u64, key: Option<PublicKey>) -> CheckpointAccount {
    let account = Account { next_nonce, ..Account::with_balance(Mites::new(7)) };
    CheckpointAccount { address, account, key }
}

fn sorted(mut accounts: Vec<CheckpointAccount>) -> Vec<CheckpointAccount> {
    accounts.sort_by_key(|account| account.address);
    accounts
}

fn some() -> Vec<CheckpointAccount> {
    let plain = |n| account(Address::from_bytes([n; 32]), 0, None);
    let sent = |n| account(key(n).address(), 3, Some(key(n)));
    sorted(vec![plain(1), plain(200), sent(5), sent(6)])
}

#[test]
fn accounts_read_back_with_their_keys() {
    let accounts = some();
    let bytes = encode_accounts(&accounts);
    assert_eq!(decode_accounts(&bytes, 4, None), Ok(accounts.clone()));
    let below = Address::from_bytes([0; 32]);
    assert_eq!(decode_accounts(&bytes, 4, Some(&below)), Ok(accounts));
}

#[test]
fn every_flipped_bit_of_a_piece_gives_another_piece_or_none() {
    let bytes = encode_accounts(&some());
    let right = piece_hash(&bytes);
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let fault = check_piece(3, &flipped, &right).unwrap_err();
        assert_eq!((fault.rule(), check_piece(3, &bytes, &right)), ("R-CKP-03", Ok(())));
    }
}

#[test]
fn a_piece_of_another_number_of_accounts_is_refused() {
    let bytes = encode_accounts(&some());
    let fault = decode_accounts(&bytes, 5, None).unwrap_err();
    assert_eq!((&fault, fault.rule()), (&CheckpointFault::ItemCount { found: 4, expected: 5 }, "R-CKP-04"));
}

#[test]
fn accounts_out_of_order_or_twice_are_refused_also_across_pieces() {
    let accounts = some();
    let mut swapped = accounts.clone();
    swapped.swap(1, 2);
    let twice = [accounts[0].clone(), accounts[0].clone()];
    let last = accounts[3].address;
    let faults = [
        decode_accounts(&encode_accounts(&swapped), 4, None),
        decode_accounts(&encode_accounts(&twice), 2, None),
        decode_accounts(&encode_accounts(&accounts), 4, Some(&last)),
    ];
    for fault in faults {
        assert_eq!(fault.unwrap_err().rule(), "R-CKP-05");
    }
}

#[test]
fn a_key_is_there_exactly_for_those_that_have_sent() {
    let address = key(5).address();
    let without = encode_accounts(&[account(address, 1, None)]);
    let fault = decode_accounts(&without, 1, None).unwrap_err();
    assert_eq!(fault, CheckpointFault::KeyPresence { address, next_nonce: 1, key: false });
    let with = encode_accounts(&[account(address, 0, Some(key(5)))]);
    let fault = decode_accounts(&with, 1, None).unwrap_err();
    assert_eq!((fault.rule(), fault.to_string().contains("key there")), ("R-CKP-06", true));
}

#[test]
fn a_foreign_key_and_bytes_that_are_no_key_are_refused() {
    let address = key(5).address();
    let foreign = encode_accounts(&[account(address, 1, Some(key(6)))]);
    let fault = decode_accounts(&foreign, 1, None).unwrap_err();
    assert_eq!((&fault, fault.rule()), (&CheckpointFault::ForeignKey { address, found: key(6).address() }, "R-CKP-07"));
    let mut none = encode_accounts(&[account(address, 1, Some(key(5)))]);
    let last = none.len() - 1;
    none[last] = 3;
    let fault = decode_accounts(&none, 1, None).unwrap_err();
    assert_eq!(fault, CheckpointFault::Key { address, source: KeyError::Exponent });
}

#[test]
fn what_is_cut_short_or_goes_on_is_refused() {
    let bytes = encode_accounts(&some());
    for cut in [0, 3, 4, 50, bytes.len() - 1] {
        let fault = decode_accounts(&bytes[..cut], 4, None).unwrap_err();
        assert!(matches!(fault, CheckpointFault::Decode(DecodeError::Truncated { .. })), "{cut}: {fault}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let fault = decode_accounts(&longer, 4, None).unwrap_err();
    assert_eq!(fault, CheckpointFault::Decode(DecodeError::TrailingBytes(1)));
    let endless = vec![0; MAX_PIECE_BYTES + 1];
    let fault = decode_accounts(&endless, 4, None).unwrap_err();
    assert!(matches!(fault, CheckpointFault::Decode(DecodeError::TooLarge { .. })), "{fault}");
}

#[test]
fn a_piece_of_the_longest_keys_and_paths_fits_its_limit() {
    assert!(4 + PIECE_ACCOUNTS as usize * (32 + 56 + 4 + 550) <= MAX_PIECE_BYTES);
    assert!(4 + PIECE_COINBASES as usize * (52 + 64 + 4 + 4 + 32 * 32) <= MAX_PIECE_BYTES);
}

/// Coinbases of the blocks from height 10 on, each in a block of another number of leaves, and the roots.
fn mined(count: u64) -> (Vec<ProvenCoinbase>, Vec<crate::Hash>) {
    let one = |at: u64| {
        let to = Address::from_bytes([at as u8; 32]);
        let coinbase = Coinbase { height: Height::new(10 + at), to, amount: Mites::new(at), tag: vec![1] };
        let others = (0..at).map(|n| crate::Hash::from_bytes([n as u8; 32]));
        let leaves: Vec<_> = std::iter::once(coinbase.leaf()).chain(others).collect();
        (ProvenCoinbase { coinbase, path: tx_path(&leaves, 0).unwrap() }, tx_root(&leaves))
    };
    (0..count).map(one).unzip()
}

#[test]
fn coinbases_read_back_and_are_proven_by_their_headers() {
    let (proven, roots) = mined(9);
    let bytes = encode_coinbases(&proven);
    let read = decode_coinbases(&bytes, Height::new(10), &roots).unwrap();
    assert_eq!(read, proven.iter().map(|proven| proven.coinbase.clone()).collect::<Vec<_>>());
}

#[test]
fn a_forged_coinbase_is_refused_in_whatever_field() {
    let (proven, roots) = mined(5);
    let with = |change: fn(&mut ProvenCoinbase)| {
        let mut forged = proven.clone();
        change(&mut forged[3]);
        decode_coinbases(&encode_coinbases(&forged), Height::new(10), &roots).unwrap_err()
    };
    for fault in [
        with(|proven| proven.coinbase.amount = Mites::new(1_000_000)),
        with(|proven| proven.coinbase.to = Address::from_bytes([9; 32])),
        with(|proven| proven.coinbase.tag = vec![2]),
        with(|proven| proven.path.count += 1),
        with(|proven| proven.path.siblings.clear()),
        with(|proven| proven.path.siblings[0] = crate::Hash::from_bytes([7; 32])),
    ] {
        assert_eq!(fault.rule(), "R-CKP-09", "{fault}");
    }
    let shape = with(|proven| proven.path.siblings.clear());
    assert!(
        matches!(shape, CheckpointFault::UnprovenCoinbase { source: TxPathError::PathShape { .. }, .. }),
        "{shape}"
    );
    let height = with(|proven| proven.coinbase.height = Height::new(12));
    let expected = CheckpointFault::CoinbaseHeight { found: Height::new(12), expected: Height::new(13) };
    assert_eq!((&height, height.rule()), (&expected, "R-CKP-08"));
    let fewer = decode_coinbases(&encode_coinbases(&proven[..4]), Height::new(10), &roots).unwrap_err();
    assert_eq!(fewer.rule(), "R-CKP-04");
}

#[test]
fn the_layout_covers_every_item_once_and_claims_beyond_what_can_exist_are_refused() {
    let test = Network::Test.params();
    for (height, accounts) in [(1, 0), (1, 257), (359, 1), (360, 1_000), (10_000, 1_001), (10_000, 250_000)] {
        let layout = Layout::new(test, Height::new(height), accounts).unwrap();
        let (mut coinbases, mut found) = (0, 0);
        for index in 0..layout.pieces() {
            match layout.piece(index).unwrap() {
                PieceRange::Coinbases { first, count } => {
                    assert_eq!((first, found), (coinbases, 0));
                    coinbases += count;
                }
                PieceRange::Accounts { first, count } => {
                    assert_eq!(first, found);
                    found += count;
                }
            }
        }
        assert_eq!((coinbases, found), (height.min(360), accounts));
        assert_eq!(layout.piece(layout.pieces()), None);
    }
    let most = most_accounts(test, Height::new(10));
    assert_eq!(most, 2_570);
    let fault = Layout::new(test, Height::new(10), most + 1).unwrap_err();
    assert_eq!((&fault, fault.rule()), (&CheckpointFault::TooManyAccounts { found: 2_571, most }, "R-CKP-01"));
    let fault = Layout::new(test, Height::new(u64::MAX), u64::MAX).unwrap_err();
    assert_eq!(fault.rule(), "R-CKP-01");
}

#[test]
fn a_manifest_is_held_to_its_digest_and_to_its_layout() {
    let test = Network::Test.params();
    let (block, layout) = (BlockId::from_bytes([3; 32]), Layout::new(test, Height::new(100), 1_500).unwrap());
    let pieces: Vec<_> = (0..3).map(|n| crate::Hash::from_bytes([n; 32])).collect();
    let right = digest(&block, 1_500, &pieces);
    assert_eq!(check_manifest(&block, &layout, &right, &pieces), Ok(()));
    let fault = check_manifest(&block, &layout, &right, &pieces[..2]).unwrap_err();
    assert_eq!((&fault, fault.rule()), (&CheckpointFault::PieceCount { found: 2, expected: 3 }, "R-CKP-01"));
    let mut other = pieces.clone();
    other.swap(0, 1);
    for fault in [
        check_manifest(&block, &layout, &right, &other),
        check_manifest(&BlockId::from_bytes([4; 32]), &layout, &right, &pieces),
        check_manifest(&block, &Layout::new(test, Height::new(100), 1_501).unwrap(), &right, &pieces),
    ] {
        assert_eq!(fault.unwrap_err().rule(), "R-CKP-02");
    }
}
