//! Keys that an ssh-agent holds (draft-miller-ssh-agent): it signs on request, and never gives a private key away.

use std::{
    io,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use farthing::{PublicKey, Signature};

use super::{
    import::guarded,
    public,
    signer::{SignError, Signer, checked},
};
use crate::error::{Exit, Explain};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// Asks for rsa-sha2-256 instead of SHA-1.
const RSA_SHA2_256: u32 = 2;
/// Longest answer and longest request, as in OpenSSH.
const MAX_BYTES: usize = 256 * 1024;
/// An agent may ask its person first (`ssh-add -c`).
const PATIENCE: Duration = Duration::from_secs(300);

/// Why an agent did not help.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nobody said where it is.
    #[error("no ssh-agent is known: SSH_AUTH_SOCK is not set")]
    NoSocket,
    /// It cannot be reached, or the line broke.
    #[error("cannot talk to the ssh-agent at {}", path.display())]
    Line {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It said no.
    #[error("the ssh-agent refused: it lacks the key {0}, is locked, or its person said no")]
    Refused(String),
    /// Its answer makes no sense.
    #[error("the ssh-agent's answer makes no sense: {0}")]
    Answer(&'static str),
    /// It has no key that would do.
    #[error("the ssh-agent has no RSA key that Farthing takes")]
    NoKeys,
    /// It has several keys that would do.
    #[error("the ssh-agent has {} keys that Farthing takes; say which one", fingerprints.len())]
    SeveralKeys {
        /// Their fingerprints and comments.
        fingerprints: Vec<String>,
    },
    /// What shall be signed is longer than an agent takes.
    #[error("an ssh-agent takes {MAX_BYTES} bytes at most")]
    TooLong,
    /// It does not have the key that was asked for.
    #[error("the ssh-agent does not have the key {0}")]
    NotThere(String),
}

impl Explain for AgentError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSocket | Self::Line { .. } => "AGENT_UNREACHABLE",
            Self::Refused(_) => "AGENT_REFUSED",
            Self::Answer(_) => "AGENT_ANSWER",
            Self::TooLong => "AGENT_TOO_LONG",
            Self::NoKeys | Self::NotThere(_) => "AGENT_HAS_NOT",
            Self::SeveralKeys { .. } => "WHICH_KEY",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::SeveralKeys { .. } | Self::TooLong => Exit::Usage,
            _ => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::NoSocket | Self::Line { .. } => vec!["eval \"$(ssh-agent)\", then ssh-add KEYFILE".into()],
            Self::Refused(_) | Self::NotThere(_) => {
                vec!["ssh-add KEYFILE, with that key".into(), "ssh-add -l, which lists what the agent has".into()]
            }
            Self::Answer(_) => vec!["another agent: SSH_AUTH_SOCK names the one that is asked".into()],
            Self::TooLong => vec!["--format farthing or --format sshsig, which sign a hash of the message".into()],
            Self::NoKeys => vec!["ssh-keygen -t rsa -b 2048 -f KEYFILE, then ssh-add KEYFILE".into()],
            Self::SeveralKeys { fingerprints } => {
                let mut tries = vec!["farthing-wallet key import KEYFILE.pub --signer ssh-agent".to_owned()];
                tries.extend(fingerprints.iter().take(8).map(|one| format!("the one of these that you mean: {one}")));
                tries
            }
        }
    }
}

/// A line to an agent.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    path: PathBuf,
}

impl Agent {
    /// Connects to the agent behind a socket, or to nobody's.
    ///
    /// # Errors
    /// [`AgentError::NoSocket`], [`AgentError::Line`].
    pub fn connect(socket: Option<&Path>) -> Result<Self, AgentError> {
        let path = socket.ok_or(AgentError::NoSocket)?.to_owned();
        let connected = UnixStream::connect(&path)
            .and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(|source| AgentError::Line { path: path.clone(), source });
        Ok(Self { stream: connected?, path })
    }

    /// The keys that would do, with their comments.
    ///
    /// # Errors
    /// [`AgentError::Line`], [`AgentError::Answer`], [`AgentError::Refused`], [`AgentError::TooLong`].
    pub fn keys(&self) -> Result<Vec<(PublicKey, String)>, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], IDENTITIES_ANSWER, "list")?;
        let mut rest = answer.as_slice();
        let count = number(&mut rest)?;
        let mut keys = Vec::new();
        for _ in 0..count {
            let (blob, comment) = (string(&mut rest)?, string(&mut rest)?);
            // Others may be of kinds that nobody here knows.
            let read = || public::from_ssh(ssh_key::PublicKey::from_bytes(blob).ok()?.key_data()).ok();
            if let Some(key) = guarded(read).flatten() {
                keys.push((key, String::from_utf8_lossy(comment).chars().filter(|c| !c.is_control()).collect()));
            }
        }
        Ok(keys)
    }

    /// The key that would do, if there is just one.
    ///
    /// # Errors
    /// [`AgentError::NoKeys`], [`AgentError::SeveralKeys`], and as [`Agent::keys`].
    pub fn only_key(&self) -> Result<PublicKey, AgentError> {
        let mut keys = self.keys()?;
        match (keys.pop(), keys.is_empty()) {
            (None, _) => Err(AgentError::NoKeys),
            (Some((key, _)), true) => Ok(key),
            (Some(last), false) => {
                let all = keys.iter().chain(std::iter::once(&last));
                let fingerprints =
                    all.map(|(key, comment)| format!("{} {comment}", public::fingerprint(key))).collect();
                Err(AgentError::SeveralKeys { fingerprints })
            }
        }
    }

    /// Makes sure that the agent has a key.
    ///
    /// # Errors
    /// [`AgentError::NotThere`], and as [`Agent::keys`].
    pub fn check(&self, key: &PublicKey) -> Result<(), AgentError> {
        let found = self.keys()?.iter().any(|(known, _)| known == key);
        if found { Ok(()) } else { Err(AgentError::NotThere(public::fingerprint(key))) }
    }

    fn sign(&self, key: &PublicKey, message: &[u8]) -> Result<Vec<u8>, AgentError> {
        let blob = ssh_key::PublicKey::from(public::to_ssh(key)).to_bytes();
        let blob = blob.map_err(|_| AgentError::Answer("the key has no SSH form"))?;
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, &blob);
        put(&mut request, message);
        request.extend(RSA_SHA2_256.to_be_bytes());
        let answer = self.ask(&request, SIGN_RESPONSE, &public::fingerprint(key))?;
        let mut signature = string(&mut answer.as_slice())?;
        if string(&mut signature)? != b"rsa-sha2-256" {
            return Err(AgentError::Answer("a signature of another kind than rsa-sha2-256"));
        }
        Ok(string(&mut signature)?.to_vec())
    }

    fn ask(&self, request: &[u8], expected: u8, about: &str) -> Result<Vec<u8>, AgentError> {
        let line = |source| AgentError::Line { path: self.path.clone(), source };
        if request.len() > MAX_BYTES {
            return Err(AgentError::TooLong);
        }
        let mut stream = &self.stream;
        let mut framed = Vec::with_capacity(request.len() + 4);
        put(&mut framed, request);
        stream.write_all(&framed).map_err(line)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(line)?;
        let length = u32::from_be_bytes(length);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_BYTES {
            return Err(AgentError::Answer("a length that no answer has"));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).map_err(line)?;
        match answer.split_first() {
            Some((kind, rest)) if *kind == expected => Ok(rest.to_vec()),
            Some((&FAILURE, _)) => Err(AgentError::Refused(about.to_owned())),
            _ => Err(AgentError::Answer("an answer to another question")),
        }
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(bytes);
}

fn number(from: &mut &[u8]) -> Result<u32, AgentError> {
    let (number, rest) = from.split_first_chunk().ok_or(AgentError::Answer("it ends too early"))?;
    *from = rest;
    Ok(u32::from_be_bytes(*number))
}

fn string<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], AgentError> {
    let length = number(from)? as usize;
    let (string, rest) = from.split_at_checked(length).ok_or(AgentError::Answer("it ends too early"))?;
    *from = rest;
    Ok(string)
}

/// Signs with a key that an agent holds.
#[derive(Debug)]
pub struct AgentSigner {
    agent: Agent,
    public: PublicKey,
}

impl AgentSigner {
    /// Takes an agent that has this key.
    ///
    /// # Errors
    /// As [`Agent::check`].
    pub fn new(agent: Agent, public: PublicKey) -> Result<Self, AgentError> {
        agent.check(&public)?;
        Ok(Self { agent, public })
    }
}

impl Signer for AgentSigner {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Signature, SignError> {
        let signature = self.agent.sign(&self.public, message).map_err(SignError::Agent)?;
        checked(&self.public, message, &signature)
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
