//! How long the head of a request over HTTP/1.1 may be, told from the bytes of a connection. The library below would keep
//! some 400 KiB of one, and lets nobody set it.
//!
//! Only what comes between an answer and the end of the next head is looked at; what lies beyond, bodies, is bounded by
//! what their methods take.

use super::frames::PREFACE_BYTES;

/// Longest head of a request: its line and its fields.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// With what a client of HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// An answer after which the same request goes on (RFC 9110, 15.2).
const INFORMATIONAL: &[u8] = b"HTTP/1.1 1";

/// Follows what a client sends.
#[derive(Debug, Default)]
pub(super) struct Http1 {
    /// Bytes of the preface that came, as long as it may be one.
    preface: usize,
    state: State,
    is_first_head_whole: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// It may still be HTTP/2.
    #[default]
    Undecided,
    /// So many bytes came, and their last ones are so many of the end.
    Head { bytes: usize, end: usize },
    /// Of a request that is not answered yet.
    Body,
}

/// What a connection is, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Undecided,
    Http2,
    Http1 { is_first_head_whole: bool },
    TooLong,
}

impl Http1 {
    /// Goes on with what was read.
    pub(super) fn follow(&mut self, mut read: &[u8]) -> Follow {
        if matches!(self.state, State::Undecided) {
            let rest = &PREFACE[self.preface..];
            let same = read.iter().zip(rest).take_while(|(found, wanted)| found == wanted).count();
            self.preface += same;
            read = &read[same..];
            if self.preface == PREFACE_BYTES {
                return Follow::Http2;
            }
            if read.is_empty() {
                return Follow::Undecided;
            }
            self.state = State::Head { bytes: 0, end: 0 };
            // It is part of the head.
            self.head(&PREFACE[..self.preface]);
        }
        self.head(read);
        match self.state {
            State::Head { bytes, .. } if bytes > MAX_HEAD_BYTES => Follow::TooLong,
            _ => Follow::Http1 { is_first_head_whole: self.is_first_head_whole },
        }
    }

    /// Notes that an answer begins: behind its request comes the next head.
    pub(super) fn answered(&mut self, written: &[u8]) {
        if matches!(self.state, State::Body) && !written.starts_with(INFORMATIONAL) {
            self.state = State::Head { bytes: 0, end: 0 };
        }
    }

    fn head(&mut self, read: &[u8]) {
        let State::Head { mut bytes, mut end } = self.state else { return };
        for byte in read {
            bytes += 1;
            end = match *byte {
                byte if byte == END_OF_HEAD[end] => end + 1,
                b'\r' => 1,
                _ => 0,
            };
            if end == END_OF_HEAD.len() && bytes <= MAX_HEAD_BYTES {
                self.is_first_head_whole = true;
                self.state = State::Body;
                return;
            }
            if bytes > MAX_HEAD_BYTES {
                break;
            }
        }
        self.state = State::Head { bytes, end };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Follow = Follow::Http1 { is_first_head_whole: true };
    const BEGUN: Follow = Follow::Http1 { is_first_head_whole: false };

    /// A head of so many bytes.
    fn head(bytes: usize) -> Vec<u8> {
        let begin = b"POST /a/b HTTP/1.1\r\nx: ";
        [begin, "y".repeat(bytes - begin.len() - END_OF_HEAD.len()).as_bytes(), END_OF_HEAD].concat()
    }

    #[test]
    fn a_connection_of_http_2_is_told_by_its_preface_in_any_pieces() {
        for piece in [1, 3, 24] {
            let mut followed = Http1::default();
            let seen: Vec<Follow> = PREFACE.chunks(piece).map(|read| followed.follow(read)).collect();
            let (last, before) = seen.split_last().unwrap();
            assert_eq!(*last, Follow::Http2);
            assert!(before.iter().all(|seen| *seen == Follow::Undecided));
        }
    }

    #[test]
    fn a_head_as_long_as_may_be_passes_in_any_pieces_and_one_more_byte_does_not() {
        for piece in [1, 7, 4_096, 1 << 20] {
            let mut followed = Http1::default();
            let last = head(MAX_HEAD_BYTES).chunks(piece).map(|read| followed.follow(read)).last();
            assert_eq!(last, Some(WHOLE), "in pieces of {piece}");
            let mut followed = Http1::default();
            let last = head(MAX_HEAD_BYTES + 1).chunks(piece).map(|read| followed.follow(read)).last();
            assert_eq!(last, Some(Follow::TooLong), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_head_that_begins_like_the_preface_counts_from_its_first_byte() {
        let mut followed = Http1::default();
        assert_eq!(followed.follow(b"PRI"), Follow::Undecided);
        assert_eq!(followed.follow(b"VATE / HTTP/1.1\r\n"), BEGUN);
        assert_eq!(followed.follow(&vec![b'x'; MAX_HEAD_BYTES - 20]), BEGUN);
        assert_eq!(followed.follow(b"x"), Follow::TooLong);
    }

    #[test]
    fn bodies_are_no_heads_and_behind_each_answer_the_next_head_is_counted() {
        let mut followed = Http1::default();
        let body = vec![7; 3 * MAX_HEAD_BYTES];
        for _ in 0..3 {
            assert_eq!(followed.follow(&[&head(200)[..], &body].concat()), WHOLE);
            followed.answered(b"HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(followed.follow(&body), WHOLE);
            followed.answered(b"HTTP/1.1 200 OK\r\n");
            followed.answered(b"more of it");
        }
        assert_eq!(followed.follow(&body), Follow::TooLong);
    }
}
