//! Where the frames of HTTP/2 begin and end (RFC 9113, 4.1), told from their headers alone.

/// What a client sends before its first frame (RFC 9113, 3.4).
pub(super) const PREFACE_BYTES: usize = 24;
/// Length, type, flags and stream of a frame.
pub(super) const HEADER_BYTES: usize = 9;
/// The type of a frame that ends a stream at once.
pub(super) const RST_STREAM: u8 = 3;
/// The type of a frame that ends a connection.
const GOAWAY: u8 = 7;
/// The other side does something that may be too much (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// Follows what is sent in one direction.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    header_len: usize,
    /// Bytes that are still to come before the next header.
    rest: usize,
}

impl Frames {
    /// Of a client: its preface comes first.
    pub(super) const fn of_client() -> Self {
        Self { header: [0; HEADER_BYTES], header_len: 0, rest: PREFACE_BYTES }
    }

    /// Of a server.
    pub(super) const fn of_server() -> Self {
        Self { header: [0; HEADER_BYTES], header_len: 0, rest: 0 }
    }

    /// Whether what was sent ends with a frame.
    pub(super) const fn are_whole(&self) -> bool {
        self.header_len == 0 && self.rest == 0
    }

    /// Goes on; how many frames of the type began.
    pub(super) fn follow(&mut self, mut bytes: &[u8], kind: u8) -> usize {
        let mut found = 0;
        while !bytes.is_empty() {
            let wanted = if self.rest > 0 { self.rest } else { HEADER_BYTES - self.header_len };
            let (taken, after) = bytes.split_at(wanted.min(bytes.len()));
            bytes = after;
            if self.rest > 0 {
                self.rest -= taken.len();
                continue;
            }
            self.header[self.header_len..][..taken.len()].copy_from_slice(taken);
            self.header_len += taken.len();
            if self.header_len == HEADER_BYTES {
                let [a, b, c, of_kind, ..] = self.header;
                self.rest = u32::from_be_bytes([0, a, b, c]) as usize;
                self.header_len = 0;
                found += usize::from(of_kind == kind);
            }
        }
        found
    }
}

/// The frame with which a server says that this was too much, and why. Which streams it has taken up, it leaves open:
/// any may be.
pub(super) fn calm_down(why: &str) -> Vec<u8> {
    const LAST_STREAM: u32 = u32::MAX >> 1;
    let payload = [&LAST_STREAM.to_be_bytes()[..], &ENHANCE_YOUR_CALM.to_be_bytes(), why.as_bytes()].concat();
    let [_, length @ ..] = u32::try_from(payload.len()).expect("a short reason").to_be_bytes();
    [&length[..], &[GOAWAY, 0, 0, 0, 0, 0], &payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_in_any_pieces_and_what_they_carry_is_not_taken_for_one() {
        let reset = [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8];
        // Its payload looks like a reset.
        let data = [&[0, 0, 13, 0, 0, 0, 0, 0, 1][..], &reset].concat();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let sent = [&[RST_STREAM; PREFACE_BYTES][..], &settings, &reset, &data, &reset].concat();
        for piece in [1, 2, 5, 9, 13, 24, 1_000] {
            let mut frames = Frames::of_client();
            let found: usize = sent.chunks(piece).map(|bytes| frames.follow(bytes, RST_STREAM)).sum();
            assert_eq!((found, frames.are_whole()), (2, true), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_was_sent_is_whole_only_between_frames() {
        let mut frames = Frames::of_server();
        let frame = [0, 0, 2, 0, 0, 0, 0, 0, 1, 7, 7];
        for at in 0..frame.len() {
            assert_eq!(frames.are_whole(), at == 0, "after {at}");
            frames.follow(&frame[at..=at], RST_STREAM);
        }
        assert!(frames.are_whole());
    }

    #[test]
    fn the_last_frame_says_why() {
        let expected = [&[0, 0, 11, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11][..], b"why"].concat();
        assert_eq!(calm_down("why"), expected);
    }
}
