//! QR codes drawn with half blocks: two rows of the code in one line of text.

use qrcode::{Color, EcLevel, QrCode};

use super::style::{BLACK_ON_WHITE, paint};

/// The light margin that scanners need, in modules.
const QUIET_ZONE: usize = 4;
/// What a code is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// A terminal with colours: the code brings its own.
    Coloured,
    /// Light text on a dark ground.
    Dark,
    /// Dark text on a light ground.
    Light,
}

/// Why a code was not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDrawn {
    /// The text is too long for one.
    TooLong,
    /// It needs so many columns.
    TooWide(usize),
}

/// Draws a text as a QR code that takes so many columns at most, if there is a bound: rather with less correction of errors
/// than not at all.
///
/// # Errors
/// [`NotDrawn`].
pub fn draw(text: &str, ground: Ground, columns: Option<usize>) -> Result<String, NotDrawn> {
    let mut needed = None;
    for correction in [EcLevel::M, EcLevel::L] {
        let code = QrCode::with_error_correction_level(text, correction).map_err(|_| NotDrawn::TooLong);
        // What is too long for more correction may have room with less.
        let Ok(code) = code else { continue };
        let width = code.width() + 2 * QUIET_ZONE;
        if columns.is_none_or(|columns| width <= columns) {
            return Ok(draw_code(&code, ground));
        }
        needed = Some(width);
    }
    Err(needed.map_or(NotDrawn::TooLong, NotDrawn::TooWide))
}

fn draw_code(code: &QrCode, ground: Ground) -> String {
    let width = code.width();
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < width);
        matches!((inside(x), inside(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
    };
    // What the ink of the terminal draws.
    let is_inked = |x: usize, y: usize| is_dark(x, y) != (ground == Ground::Dark);
    let all = width + 2 * QUIET_ZONE;
    let mut drawn = String::new();
    for y in (0..all).step_by(2) {
        let line: String = (0..all)
            .map(|x| match (is_inked(x, y), y + 1 < all && is_inked(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        if ground == Ground::Coloured {
            drawn.push_str(&paint(BLACK_ON_WHITE, line));
        } else {
            drawn.push_str(&line);
        }
        drawn.push('\n');
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules that a drawing shows, dark ones true, for ink that is dark or light.
    fn modules(drawn: &str, ink_is_dark: bool) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawn.lines() {
            let half = |inked: [char; 2]| line.chars().map(|one| inked.contains(&one) == ink_is_dark).collect();
            rows.push(half(['█', '▀']));
            rows.push(half(['█', '▄']));
        }
        rows
    }

    #[test]
    fn the_code_is_the_same_on_every_ground_and_has_its_margin() {
        let text = "FARTHING:DFAR1QQQQQQQQQQQQQQQQQQQQ";
        let plain = |ground| super::super::style::fit(draw(text, ground, None).unwrap(), false);
        let light = modules(&plain(Ground::Light), true);
        assert_eq!(light, modules(&plain(Ground::Coloured), true));
        let dark = modules(&plain(Ground::Dark), false);
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let all = code.width() + 2 * QUIET_ZONE;
        for (y, row) in light.iter().enumerate().take(all) {
            assert_eq!((row.len(), row), (all, &dark[y]), "row {y}");
            for (x, is_dark) in row.iter().enumerate() {
                let inside = |at: usize| (QUIET_ZONE..QUIET_ZONE + code.width()).contains(&at);
                let expected = inside(x) && inside(y) && code[(x - QUIET_ZONE, y - QUIET_ZONE)] == Color::Dark;
                assert_eq!(*is_dark, expected, "{x}, {y}");
            }
        }
    }

    #[test]
    fn what_is_too_long_for_a_code_is_not_drawn() {
        assert_eq!(draw(&"x".repeat(8000), Ground::Dark, None), Err(NotDrawn::TooLong));
    }

    #[test]
    fn on_a_narrow_terminal_a_code_has_less_correction_or_is_not_drawn() {
        let text = format!("FARTHING:DFAR1{}", "Q".repeat(58));
        let columns =
            |columns| draw(&text, Ground::Dark, columns).map(|drawn| drawn.lines().next().unwrap().chars().count());
        assert_eq!((columns(None), columns(Some(41)), columns(Some(40))), (Ok(41), Ok(41), Ok(37)));
        assert_eq!(columns(Some(36)), Err(NotDrawn::TooWide(37)));
    }
}
