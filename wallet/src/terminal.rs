//! The person at the keyboard, or nobody.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use zeroize::Zeroizing;

/// Longest line that is read.
const MAX_LINE_BYTES: u64 = 4096;

/// Someone who can answer.
pub trait Terminal: Send {
    /// Whether anybody is there.
    fn is_interactive(&self) -> bool;

    /// The next line, without its end; none at the end of input (Ctrl-D).
    ///
    /// # Errors
    /// What the system says.
    fn line(&mut self) -> io::Result<Option<String>>;

    /// A line that is not echoed.
    ///
    /// # Errors
    /// What the system says.
    fn secret(&mut self, prompt: &str) -> io::Result<Zeroizing<String>>;
}

/// This process's terminal.
#[derive(Debug, Clone, Copy)]
pub struct SystemTerminal;

impl Terminal for SystemTerminal {
    fn is_interactive(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        io::stdin().lock().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Zeroizing<String>> {
        // Silent before the question is asked, so that not even a quick first letter shows.
        let before = Settings::remember();
        before.silence();
        let answer = rpassword::prompt_password(prompt).map(Zeroizing::new);
        before.restore();
        answer
    }
}

/// What one keeps of the terminal to set it right after an interruption, which may come while the echo is off.
#[derive(Debug)]
pub struct Settings(Option<rustix::termios::Termios>);

impl Settings {
    /// Remembers how the terminal is now.
    #[must_use]
    pub fn remember() -> Self {
        Self(rustix::termios::tcgetattr(io::stdin()).ok())
    }

    /// Turns the echo off.
    fn silence(&self) {
        if let Some(settings) = &self.0 {
            let mut silent = settings.clone();
            silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
            // The reader of passphrases turns it off too, only a little later.
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &silent);
        }
    }

    /// Sets it back.
    pub fn restore(&self) {
        if let Some(settings) = &self.0 {
            // Nothing can be done if the terminal is gone.
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, settings);
        }
    }
}
