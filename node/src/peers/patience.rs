//! How long an answer with headers or a body may take. Where nobody answers in time it is this node's own link that is
//! slow: were it to part with every peer for that, it would never catch up. So it waits longer then, as Bitcoin Core does
//! (`BLOCK_STALLING_TIMEOUT_MAX`). Where others do answer meanwhile, it is the peer that is mute, and nothing changes.
//! Pieces of a checkpoint are asked of one session at a time: there each wait in vain counts.

use std::{sync::Mutex, time::Duration};

use farthing::Header;
use tokio::time::{Instant, timeout};

use super::{
    limits::{ANSWER_DEADLINE, MAX_PATIENCE},
    remote::PullError,
    session::lock,
};

/// What is left of it after each body that came in half of it or less.
const REGAINED: f64 = 0.85;

/// Shared by all sessions.
#[derive(Debug)]
pub(super) struct Patience(Mutex<State>);

#[derive(Debug)]
struct State {
    most: Duration,
    /// When headers came last, from anybody.
    headers_at: Option<Instant>,
    /// When a body came last.
    body_at: Option<Instant>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Headers,
    Body,
}

impl Default for Patience {
    fn default() -> Self {
        Self(Mutex::new(State { most: ANSWER_DEADLINE, headers_at: None, body_at: None }))
    }
}

impl Patience {
    /// Waits for a list of headers.
    pub(super) async fn headers(
        &self,
        answer: impl Future<Output = Result<Vec<Header>, PullError>>,
    ) -> Result<Vec<Header>, PullError> {
        let headers = self.wait(Piece::Headers, answer).await?;
        if !headers.is_empty() {
            lock(&self.0).headers_at = Some(Instant::now());
        }
        Ok(headers)
    }

    /// Headers came with an announcement.
    pub(super) fn headers_came(&self) {
        lock(&self.0).headers_at = Some(Instant::now());
    }

    /// A body came without most of its transactions. It says little of how long whole ones take; but near the tip there are
    /// hardly any others, and one mute peer must not make all wait long for ever.
    pub(super) fn compact_body_came(&self) {
        lock(&self.0).regain();
    }

    /// Waits for an answer with bodies, or with pieces of a checkpoint, to begin.
    pub(super) async fn bodies<T>(&self, answer: impl Future<Output = Result<T, PullError>>) -> Result<T, PullError> {
        self.wait(Piece::Body, answer).await
    }

    /// Waits for the next body, or piece, of an answer.
    pub(super) async fn body<T>(
        &self,
        next: impl Future<Output = Result<Option<T>, PullError>>,
    ) -> Result<Option<T>, PullError> {
        let begun = Instant::now();
        let body = self.wait(Piece::Body, next).await?;
        if body.is_some() {
            lock(&self.0).body_came(begun);
        }
        Ok(body)
    }

    async fn wait<T>(&self, piece: Piece, answer: impl Future<Output = Result<T, PullError>>) -> Result<T, PullError> {
        let (begun, most) = (Instant::now(), lock(&self.0).most);
        match timeout(most, answer).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                lock(&self.0).was_too_short(piece, begun, most);
                Err(PullError::Stalled)
            }
        }
    }
}

impl State {
    fn body_came(&mut self, begun: Instant) {
        let now = Instant::now();
        self.body_at = Some(now);
        // One that needed most of it says that the others, on the same link, need it as well.
        if now.duration_since(begun) <= self.most / 2 {
            self.regain();
        }
    }

    fn regain(&mut self) {
        self.most = self.most.mul_f64(REGAINED).max(ANSWER_DEADLINE);
    }

    fn was_too_short(&mut self, piece: Piece, begun: Instant, waited: Duration) {
        // Headers may pass where bodies do not, for they are small.
        let came = [self.body_at, self.headers_at.filter(|_| piece == Piece::Headers)];
        if came.into_iter().flatten().all(|at| at < begun) {
            // Twice what was not enough, however many sessions find that out together.
            self.most = (waited * 2).min(MAX_PATIENCE).max(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::testing::dev;

    #[tokio::test(start_paused = true)]
    async fn compact_bodies_bring_it_back_too_and_headers_of_an_announcement_tell_a_slow_link_from_a_mute_peer() {
        let patience = Patience::default();
        for expected in [5, 10, 20] {
            assert_eq!(waits(&patience).await, expected);
        }
        for _ in 0..16 {
            patience.compact_body_came();
        }
        assert_eq!(waits(&patience).await, 5);
        let announced = async {
            sleep(Duration::from_secs(1)).await;
            patience.headers_came();
        };
        let (mute, ()) = tokio::join!(patience.headers(std::future::pending()), announced);
        assert!(matches!(mute, Err(PullError::Stalled)));
        assert_eq!(lock(&patience.0).most, ANSWER_DEADLINE * 2, "another one's headers came meanwhile");
    }

    async fn waits(patience: &Patience) -> u64 {
        let start = Instant::now();
        let outcome = patience.body::<()>(std::future::pending()).await;
        assert!(matches!(outcome, Err(PullError::Stalled)));
        start.elapsed().as_secs()
    }

    async fn takes(patience: &Patience, seconds: u64) -> bool {
        let body = async {
            sleep(Duration::from_secs(seconds)).await;
            Ok(Some(dev().genesis().clone()))
        };
        patience.body(body).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_in_vain_doubles_the_next_one_up_to_a_minute_and_bodies_bring_it_back() {
        let patience = Patience::default();
        for expected in [5, 10, 20, 40, 60, 60] {
            assert_eq!(waits(&patience).await, expected);
        }
        for _ in 0..16 {
            assert!(takes(&patience, 0).await);
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(waits(&patience).await, 5);
        assert!(takes(&patience, 1).await);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(waits(&patience).await, 8, "8.5 s, for one body is not many");
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_in_vain_at_the_same_time_double_it_once() {
        let patience = Patience::default();
        tokio::join!(waits(&patience), waits(&patience), waits(&patience));
        assert_eq!(waits(&patience).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_by_the_first_measure_is_taken_by_the_second() {
        let patience = Patience::default();
        assert!(!takes(&patience, 8).await);
        assert!(takes(&patience, 8).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mute_peer_changes_nothing_while_others_send() {
        let patience = Patience::default();
        let others = async {
            for _ in 0..20 {
                assert!(takes(&patience, 3).await);
            }
        };
        let mute = async {
            for _ in 0..10 {
                assert_eq!(waits(&patience).await, 5);
            }
        };
        tokio::join!(others, mute);
    }

    #[tokio::test(start_paused = true)]
    async fn that_headers_come_says_nothing_of_bodies() {
        let patience = Patience::default();
        let mute = async |expected: u64| {
            let headers = patience.headers(async {
                sleep(Duration::from_secs(1)).await;
                Ok(vec![dev().genesis().header])
            });
            let start = Instant::now();
            let (headers, none) = tokio::join!(headers, patience.headers(std::future::pending()));
            assert!(headers.is_ok() && none.is_err());
            assert_eq!(start.elapsed().as_secs(), expected);
        };
        mute(5).await;
        mute(5).await;
        let headers = async { Ok(vec![dev().genesis().header]) };
        let (_, waited) = tokio::join!(patience.headers(headers), waits(&patience));
        assert_eq!(waited, 5);
        mute(10).await;
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_need_most_of_it_do_not_shorten_it_for_the_others() {
        let patience = Patience::default();
        for _ in 0..3 {
            waits(&patience).await;
        }
        for _ in 0..8 {
            assert!(takes(&patience, 30).await);
        }
    }
}
