//! Agents that do not do what they should: nothing that they say is believed, and nothing that they give is used unchecked.

use std::{os::unix::net::UnixListener, thread};

use super::*;
use crate::{
    error::Exit,
    keystore::{FileSigner, dev},
};

fn alice() -> FileSigner {
    FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap())
}

fn blob() -> Vec<u8> {
    ssh_key::PublicKey::from(public::to_ssh(alice().public())).to_bytes().unwrap()
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    parts.iter().for_each(|part| put(&mut bytes, part));
    bytes
}

/// Says that it has Alice's key.
fn identities() -> Vec<u8> {
    [&[IDENTITIES_ANSWER, 0, 0, 0, 1][..], &strings(&[&blob(), b"a comment"])].concat()
}

fn signature(kind: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&[SIGN_RESPONSE][..], &strings(&[&strings(&[kind, bytes])])].concat()
}

fn framed(answer: &[u8]) -> Vec<u8> {
    strings(&[answer])
}

/// Signs with an agent that gives these bytes, one after the other, whatever it is asked; then it hangs up.
fn sign_with(answers: Vec<Vec<u8>>) -> Result<Signature, SignError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    let agent = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for answer in answers {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    let signed = Agent::connect(Some(&path))
        .and_then(|line| AgentSigner::new(line, alice().public().clone()))
        .map_err(SignError::Agent)
        .and_then(|signer| signer.sign_bytes(b"hello"));
    agent.join().unwrap();
    signed
}

#[test]
fn what_an_agent_signs_is_checked_before_it_is_used() {
    let good = alice().sign_bytes(b"hello").unwrap();
    let answer = |bytes: &[u8]| vec![framed(&identities()), framed(&signature(b"rsa-sha2-256", bytes))];
    assert_eq!(sign_with(answer(good.as_bytes())).unwrap(), good);
    let other = alice().sign_bytes(b"hallo").unwrap();
    for bytes in [other.as_bytes(), &good.as_bytes()[1..], &[0; 256], b""] {
        let error = sign_with(answer(bytes)).unwrap_err();
        assert!(matches!(error, SignError::DoesNotVerify(_)), "{error}");
    }
}

#[test]
fn an_agent_that_refuses_lies_or_hangs_up_is_told_apart() {
    let good = alice().sign_bytes(b"hello").unwrap();
    let sha1 = signature(b"ssh-rsa", good.as_bytes());
    let cut = &signature(b"rsa-sha2-256", good.as_bytes())[..100];
    let key = identities();
    for (answers, code) in [
        (vec![framed(&key), framed(&[FAILURE])], "AGENT_REFUSED"),
        (vec![framed(&[FAILURE])], "AGENT_REFUSED"),
        (vec![framed(&key), framed(&sha1)], "AGENT_ANSWER"),
        (vec![framed(&key), framed(cut)], "AGENT_ANSWER"),
        (vec![framed(&key), framed(&key)], "AGENT_ANSWER"),
        (vec![framed(&key), framed(b"")], "AGENT_ANSWER"),
        (vec![framed(&key), vec![0xff; 4]], "AGENT_ANSWER"),
        (vec![framed(&[IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff])], "AGENT_ANSWER"),
        (vec![framed(&[IDENTITIES_ANSWER, 0, 0, 0, 0])], "AGENT_HAS_NOT"),
        (vec![framed(&key), framed(&sha1)[..50].to_vec()], "AGENT_UNREACHABLE"),
        (vec![framed(&key)], "AGENT_UNREACHABLE"),
        (vec![], "AGENT_UNREACHABLE"),
    ] {
        let error = sign_with(answers).unwrap_err();
        assert_eq!((error.code(), error.exit()), (code, Exit::Other), "{error}");
    }
}
