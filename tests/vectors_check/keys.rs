//! Keys, addresses and signatures.

use farthing::{Address, AddressPrefix, Network, PublicKey, Signature, VerifyingKey};

use super::{Case, Vectors, refusal::Refusal};

fn key(case: Case<'_>, field: &str) -> Result<PublicKey, Refusal> {
    Ok(PublicKey::from_spki(&case.bytes(field))?)
}

#[test]
fn keys_are_read_and_refused_as_the_vectors_say() {
    let file = Vectors::open("keys", &["keys", "refused_keys"]);
    for case in file.cases("keys") {
        let key = key(case, "spki").unwrap_or_else(|refusal| panic!("{case}: {refusal:?}"));
        assert_eq!(key.size().bits(), case.small::<usize>("modulus_bits"), "{case}");
        assert_eq!(key.size().bytes(), case.small::<usize>("signature_bytes"), "{case}");
        assert_eq!(key.size().signature_units(), case.small::<u64>("signature_units"), "{case}");
        assert_eq!(key.address(), case.hash("address"), "{case}");
        for network in Network::ALL {
            let params = network.params();
            let text = case.text(&format!("address_{}", params.name));
            assert_eq!(params.prefix.format(&key.address()), text, "{case}");
            assert_eq!(params.prefix.parse(text), Ok(key.address()), "{case}");
        }
        assert!(VerifyingKey::new(&key).is_ok(), "{case}");
    }
    for case in file.cases("refused_keys") {
        case.refused(key(case, "spki"));
    }
}

#[test]
fn addresses_are_read_written_and_refused_as_the_vectors_say() {
    let file = Vectors::open("addresses", &["addresses", "refused_addresses"]);
    let parse = |case: Case<'_>| -> Result<Address, Refusal> { Ok(prefix(case).parse(case.text("text"))?) };
    for case in file.cases("addresses") {
        let address: Address = case.hash("address");
        assert_eq!(parse(case), Ok(address), "{case}");
        assert_eq!(prefix(case).format(&address), case.text("canonical_text"), "{case}");
    }
    for case in file.cases("refused_addresses") {
        case.refused(parse(case));
    }
}

fn prefix(case: Case<'_>) -> AddressPrefix {
    case.text("prefix").parse().unwrap_or_else(|error| panic!("{case}: {error}"))
}

#[test]
fn signatures_verify_and_are_refused_as_the_vectors_say() {
    let verify = |case: Case<'_>| -> Result<(), Refusal> {
        let key = VerifyingKey::new(&key(case, "public_key_spki")?)?;
        let signature = Signature::from_bytes(&case.bytes("signature"))?;
        Ok(key.verify(&case.bytes("message"), &signature)?)
    };
    let file = Vectors::open("signatures", &["signatures", "refused_signatures"]);
    for case in file.cases("signatures") {
        assert_eq!(verify(case), Ok(()), "{case}");
    }
    for case in file.cases("refused_signatures") {
        case.refused(verify(case));
    }
}
