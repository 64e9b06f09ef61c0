//! Names that the eye takes for one another: `al1ce` and `alice`, `shop-2` and `shop2`, `rnary` and `mary`; and words that
//! the fingers do.

use crate::name::Name;

/// Pairs of letters that look like one letter.
const PAIRS: [(&str, &str); 4] = [("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m")];

/// What is left of a name for the eye: two names with the same one are easily confused.
fn skeleton(name: &Name) -> String {
    let mut text: String = name.as_str().chars().filter_map(folded).collect();
    for (pair, letter) in PAIRS {
        text = text.replace(pair, letter);
    }
    text
}

/// The letter that a character is taken for; none for separators, which the eye skips.
const fn folded(character: char) -> Option<char> {
    match character {
        '.' | '_' | '-' => None,
        '0' => Some('o'),
        '1' | 'i' => Some('l'),
        '2' => Some('z'),
        '5' => Some('s'),
        '8' => Some('b'),
        other => Some(other),
    }
}

/// Whether two different names are easily taken for one another.
#[must_use]
pub fn are_alike(one: &Name, other: &Name) -> bool {
    one != other && skeleton(one) == skeleton(other)
}

/// The one of these that was probably meant: a slip or two of the finger away, fewer in a short word. Whether it was meant is for the person to say.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = if typed.chars().count() <= 4 { 1 } else { 2 };
    let typed = typed.to_lowercase();
    candidates
        .map(|candidate| (strsim::osa_distance(&typed, candidate), candidate))
        .filter(|(distance, _)| (1..=allowed).contains(distance))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
        assert_eq!(are_alike(&one, &other), are_alike(&other, &one));
        are_alike(&one, &other)
    }

    #[test]
    fn what_the_eye_confuses_is_alike() {
        for (one, other) in [
            ("alice", "al1ce"),
            ("alice", "allce"),
            ("bob", "b0b"),
            ("mary", "rnary"),
            ("anna", "ama"),
            ("shop2", "shop-2"),
            ("j.doe", "j_doe"),
            ("will", "vvill"),
            ("dave", "clave"),
            ("jess", "je55"),
        ] {
            assert!(alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for (one, other) in [("alice", "alice"), ("alice", "bob"), ("ann", "anne"), ("shop2", "shop3"), ("dave", "dan")]
        {
            assert!(!alike(one, other), "{one} {other}");
        }
    }
}
