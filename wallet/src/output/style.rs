//! The few styles that the wallet uses, and whether a stream gets them.
//!
//! A text may hold a style anywhere, as `{AMOUNT}12.5{AMOUNT:#} far`: [`super::Output`] takes it out again for a stream
//! that gets none. Nothing else that commands a terminal gets through: a text may quote what strangers wrote.

use std::{
    io::{self, IsTerminal as _},
    sync::LazyLock,
};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{Ansi256Color, Color, Effects, Style};

/// What went wrong.
pub const ERROR: Style = colour(160).effects(Effects::BOLD);
/// What should not be overlooked.
pub const WARNING: Style = colour(130).effects(Effects::BOLD);
/// What to do next, and what is typed.
pub const TRY: Style = colour(31);
/// Money, and the parts of an address.
pub const AMOUNT: Style = Style::new().bold();
/// Money that came, and what was verified.
pub const GOOD: Style = colour(28);
/// Black on white, whatever the terminal's colours are.
pub const BLACK_ON_WHITE: Style = colour(16).bg_color(Some(Color::Ansi256(Ansi256Color(231))));

/// A colour of the 240 that themes leave alone: these are as far from black as from white, so that they can be read on both.
const fn colour(number: u8) -> Style {
    Style::new().fg_color(Some(Color::Ansi256(Ansi256Color(number))))
}

/// All of them.
const ALL: [Style; 6] = [ERROR, WARNING, TRY, AMOUNT, GOOD, BLACK_ON_WHITE];

/// Which of the two streams show styles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Styled {
    /// Results.
    pub data: bool,
    /// Remarks.
    pub remarks: bool,
}

impl Styled {
    /// What this process's streams are fit for: terminals only, unless `NO_COLOR` is set, `TERM` is `dumb`, or
    /// `forbidden` by a flag.
    #[must_use]
    pub fn standard(forbidden: bool) -> Self {
        if forbidden {
            return Self::default();
        }
        Self { data: is_wanted(&io::stdout()), remarks: is_wanted(&io::stderr()) }
    }
}

fn is_wanted<S: RawStream>(stream: &S) -> bool {
    !matches!(AutoStream::choice(stream), ColorChoice::Never)
}

/// Whether stderr is a terminal on which a line can be drawn again and again.
#[must_use]
pub fn can_redraw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// A text in a style.
#[must_use]
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// An address in parts that the eye can compare one by one. Whoever looks at both ends only is deceived by another one that
/// was made to begin and end like it.
#[must_use]
pub fn in_parts(address: &str) -> String {
    let (prefix, data) = address.split_once('1').map_or(("", address), |(prefix, data)| (prefix, data));
    let mut parts = if prefix.is_empty() { String::new() } else { format!("{prefix}1") };
    let data: Vec<char> = data.chars().collect();
    for (number, part) in data.chunks(PART).enumerate() {
        let part: String = part.iter().collect();
        parts.push_str(&if number % 2 == 0 { paint(AMOUNT, part) } else { part });
    }
    parts
}

/// Characters of a part of an address.
const PART: usize = 6;

/// What begins and ends the styles above.
static CODES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let texts = ALL.iter().map(|style| format!("{style}{style:#}"));
    let codes = texts.flat_map(|text| text.split_inclusive('m').map(str::to_owned).collect::<Vec<_>>());
    codes.collect()
});

/// A text for a stream: with its styles or without them, and what else could command a terminal made visible.
#[must_use]
pub fn fit(text: String, styled: bool) -> String {
    if !text.chars().any(is_command) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let code = CODES.iter().find(|code| rest.starts_with(code.as_str()));
        let (_, behind) = rest.split_at(code.map_or(first.len_utf8(), String::len));
        match code {
            Some(code) if styled => shown.push_str(code),
            Some(_) => {}
            // The end of a line, as tables of other programs have it.
            None if first == '\r' && behind.starts_with('\n') => shown.push(first),
            None if is_command(first) => shown.extend(first.escape_unicode()),
            None => shown.push(first),
        }
        rest = behind;
    }
    shown
}

/// The same for JSON, whose own escapes say the same to a program that reads it.
#[must_use]
pub fn fit_json(text: String) -> String {
    if !text.chars().any(is_command) {
        return text;
    }
    let escaped = |one: char| if is_command(one) { format!("\\u{:04x}", u32::from(one)) } else { one.to_string() };
    text.chars().map(escaped).collect()
}

/// What a terminal obeys instead of showing it: controls, and what turns the direction of writing.
fn is_command(one: char) -> bool {
    (one.is_control() && !matches!(one, '\n' | '\t'))
        || matches!(one, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red, green and blue of a colour of the cube, as shares of the brightest.
    fn shares(number: u8) -> [f64; 3] {
        let at = u32::from(number) - 16;
        [at / 36, at / 6 % 6, at % 6].map(|step| f64::from(if step == 0 { 0 } else { 55 + 40 * step }) / 255.0)
    }

    /// How far a colour is from black and from white, as WCAG 2 reckons contrast.
    fn contrasts(number: u8) -> [f64; 2] {
        let linear = |share: f64| if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) };
        let [red, green, blue] = shares(number).map(linear);
        let light = 0.0722f64.mul_add(blue, 0.2126f64.mul_add(red, 0.7152 * green));
        [(light + 0.05) / 0.05, 1.05 / (light + 0.05)]
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        assert!(contrasts(231)[0] > 20.9 && contrasts(16)[1] > 20.9);
        for style in [ERROR, WARNING, TRY, AMOUNT, GOOD] {
            match style.get_fg_color() {
                // The terminal's own ink.
                None => assert_eq!(style.get_bg_color(), None),
                Some(Color::Ansi256(Ansi256Color(number))) => {
                    let contrasts = contrasts(number);
                    assert!(contrasts.iter().all(|contrast| *contrast > 3.8), "{number}: {contrasts:?}");
                }
                Some(other) => panic!("{other:?} is whatever a theme makes of it"),
            }
        }
    }

    #[test]
    fn styles_get_through_and_other_commands_are_shown_instead() {
        let text =
            format!("{} \x1b[2J\x1b[8m\x1b]0;title\x07 \u{9b}2J \u{202e}k\u{e4}se\ttea\r\n\rx", paint(ERROR, "no"));
        let rest = " \\u{1b}[2J\\u{1b}[8m\\u{1b}]0;title\\u{7} \\u{9b}2J \\u{202e}k\u{e4}se\ttea\r\n\\u{d}x";
        assert_eq!(fit(text.clone(), false), format!("no{rest}"));
        assert_eq!(fit(text, true), format!("\x1b[1m\x1b[38;5;160mno\x1b[0m{rest}"));
    }

    #[test]
    fn json_says_the_same_without_a_command() {
        let text = serde_json::to_string("\x1b[2J\u{9b}2J\u{7f}\u{202e}k\u{e4}se").unwrap();
        let fit = fit_json(text.clone());
        assert!(fit.chars().all(|one| !is_command(one)), "{fit}");
        let read = |text: &str| serde_json::from_str::<String>(text).unwrap();
        assert_eq!(read(&fit), read(&text));
    }

    #[test]
    fn the_parts_of_an_address_are_the_address() {
        let address = "dfar1v4nmv0m34s9dm8jshxx8shrv";
        let parts = in_parts(address);
        assert!(parts.starts_with("dfar1\x1b[1mv4nmv0\x1b[0mm34s9d\x1b[1mm8jshx\x1b[0m"), "{parts:?}");
        assert_eq!(fit(parts, false), address);
    }
}
