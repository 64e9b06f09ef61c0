//! What the calls of one connection have used up of what their methods may cost.
//!
//! Between nodes a connection is a session, so this is what one peer may cost. It lives with the connection and is as
//! large as the table of methods; nothing runs beside it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    methods::{MethodPolicy, Row},
    rate::{Bucket, Rate},
};

/// Calls that came although their client had been told to wait. As many as it may have open were under way when it was
/// first told, so it did not know of it; with as many again it can no longer say so.
const WARNINGS: Rate = Rate { per_second: 1, burst: 64 };

/// Why a call is refused although there is room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Excess {
    /// As many calls of its method are open as may.
    #[error("{limit} calls of this method are open already, as many as one client may have")]
    AtATime { limit: u32 },
    /// Too many in too short a time.
    #[error("more {unit} than {} at once and {} a second; come again in {} ms", rate.burst, rate.per_second, wait.as_millis() + 1)]
    Rate { unit: &'static str, rate: Rate, wait: Duration },
}

/// When to come again if nobody can tell when there will be room.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Excess {
    /// How long the client should wait.
    pub(super) const fn wait(self) -> Duration {
        match self {
            Self::AtATime { .. } => RETRY_AFTER,
            Self::Rate { wait, .. } => wait,
        }
    }
}

/// What is used up, by method.
#[derive(Debug)]
pub(super) struct Meters {
    state: Mutex<State>,
    /// Somebody goes on after having been told.
    overrun: Notify,
}

#[derive(Debug)]
struct State {
    rows: Vec<Meter>,
    warnings: Bucket,
    ignored: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    open: u32,
    /// Until when the client was last told to wait.
    told: Option<Instant>,
    calls: Bucket,
    items: Bucket,
    used: Used,
}

/// How near a connection came to what a method may cost: for the log, at its end.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    path: &'static str,
    calls: u64,
    most_open: u32,
    calls_percent: u64,
    items_percent: u64,
}

impl Drop for Meters {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for Used { path, calls, most_open, calls_percent, items_percent } in state.rows.iter().map(|row| row.used) {
            if calls > 0 {
                tracing::debug!(path, calls, most_open, calls_percent, items_percent, "used of a method's limits");
            }
        }
    }
}

impl Meters {
    /// For a table of so many methods.
    pub(super) fn new(methods: usize) -> Self {
        let rows = vec![Meter::default(); methods];
        Self { state: Mutex::new(State { rows, warnings: Bucket::default(), ignored: None }), overrun: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call in.
    pub(super) fn enter(self: &Arc<Self>, row: &Row) -> Result<Entered, Excess> {
        let now = Instant::now();
        let mut state = self.lock();
        let entered = || Entered { meters: Arc::clone(self), row: row.number };
        // The connection has a meter for every method of the table.
        let Some(meter) = state.rows.get_mut(row.number) else { return Ok(entered()) };
        if let Some(excess) = meter.excess(&row.policy, now) {
            // Who comes when it was told may find that another of its calls was quicker.
            let knew = meter.told.replace(now + excess.wait()).is_some_and(|until| now < until);
            if knew && !state.warnings.try_take(WARNINGS, now) {
                state.ignored.get_or_insert(row.path);
                self.overrun.notify_one();
            }
            return Err(excess);
        }
        meter.open += 1;
        meter.calls.take(1, row.policy.calls.rate, now);
        let used = &mut meter.used;
        (used.path, used.calls, used.most_open) = (row.path, used.calls + 1, used.most_open.max(meter.open));
        used.calls_percent = used.calls_percent.max(meter.calls.used_percent(row.policy.calls.rate, now));
        Ok(entered())
    }

    /// How long until something may be had of what a method counts.
    fn wait(&self, row: &Row) -> Duration {
        let state = self.lock();
        let (Some((_, rate)), Some(meter)) = (row.policy.items, state.rows.get(row.number)) else {
            return Duration::ZERO;
        };
        meter.items.wait(rate, Instant::now())
    }

    fn charge(&self, row: &Row, amount: usize) {
        let Some((_, rate)) = row.policy.items else { return };
        if let Some(meter) = self.lock().rows.get_mut(row.number) {
            let now = Instant::now();
            meter.items.take(u64::try_from(amount).unwrap_or(u64::MAX), rate, now);
            meter.used.items_percent = meter.used.items_percent.max(meter.items.used_percent(rate, now));
        }
    }
}

impl Meter {
    fn excess(&self, policy: &MethodPolicy, now: Instant) -> Option<Excess> {
        let limit = policy.calls.at_a_time;
        if self.open >= limit {
            return Some(Excess::AtATime { limit });
        }
        let calls = ("calls", policy.calls.rate, self.calls);
        let items = policy.items.map(|(unit, rate)| (unit.as_str(), rate, self.items));
        let waits = std::iter::once(calls).chain(items);
        let (unit, rate, wait) =
            waits.map(|(unit, rate, bucket)| (unit, rate, bucket.wait(rate, now))).max_by_key(|(.., wait)| *wait)?;
        (!wait.is_zero()).then_some(Excess::Rate { unit, rate, wait })
    }
}

/// A call that was let in; it is open until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    meters: Arc<Meters>,
    row: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(meter) = self.meters.lock().rows.get_mut(self.row) {
            meter.open = meter.open.saturating_sub(1);
        }
    }
}

/// What a method knows of the connection that it was called on. In the extensions of a request.
#[derive(Clone, Debug)]
pub struct CallMeter {
    meters: Arc<Meters>,
    row: Row,
}

impl CallMeter {
    pub(super) fn new(meters: &Arc<Meters>, row: &Row) -> Self {
        Self { meters: Arc::clone(meters), row: *row }
    }

    /// Of a connection that has made no other call, for a method of this policy.
    #[cfg(test)]
    pub(crate) fn for_tests(policy: MethodPolicy) -> Self {
        let table = super::MethodTable::new().with("/a.B/C", policy);
        let row = table.row("/a.B/C").expect("it was put in");
        Self::new(&Arc::new(Meters::new(table.len())), row)
    }

    /// How much of a burst is used up, in percent.
    #[cfg(test)]
    pub(crate) fn used_percent(&self) -> u64 {
        let Some((_, rate)) = self.row.policy.items else { return 0 };
        let state = self.meters.lock();
        state.rows.get(self.row.number).map_or(0, |meter| meter.items.used_percent(rate, Instant::now()))
    }

    /// Notes what this call asks for, or was given, in the unit of its method. What is too much is waited for by the next
    /// call.
    pub(crate) fn charge(&self, amount: usize) {
        self.meters.charge(&self.row, amount);
    }

    /// The same in the middle of a call: first waits until what was too much has come back. Whoever calls this for what it
    /// has read, and reads on behind it, slows its client down instead of refusing it.
    pub(crate) async fn pay(&self, amount: usize) {
        loop {
            let wait = self.meters.wait(&self.row);
            if wait.is_zero() {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        self.charge(amount);
    }

    /// Puts back what was charged beforehand and not used. Whoever cannot tell what a call will take charges the most that it may,
    /// so that calls beside it do not begin on what this one uses up.
    pub(crate) fn put_back(&self, amount: usize) {
        let Some((_, rate)) = self.row.policy.items else { return };
        if let Some(meter) = self.meters.lock().rows.get_mut(self.row.number) {
            meter.items.put_back(u64::try_from(amount).unwrap_or(u64::MAX), rate);
        }
    }

    /// Resolves with a method's path when the client goes on calling it although it was told to wait.
    pub(crate) async fn overrun(&self) -> &'static str {
        loop {
            if let Some(path) = self.meters.lock().ignored {
                return path;
            }
            self.meters.overrun.notified().await;
        }
    }
}

#[cfg(test)]
impl CallMeter {
    /// The same, for a method that counts something, at a rate that does not matter.
    pub(crate) fn counting_for_tests() -> Self {
        use super::methods::{Unit, calls};
        Self::for_tests(MethodPolicy::unary(1, calls(2, 100, 100)).counting(Unit::Blocks, 1, 1_000_000))
    }

    /// How much was taken and has not come back; exact for a second.
    pub(crate) fn used(&self) -> u64 {
        let rate = self.row.policy.items.expect("it counts something").1;
        self.meters.lock().rows[self.row.number].items.taken(rate, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::server::methods::{MethodTable, Unit, calls};

    const PATH: &str = "/a.B/C";

    fn row(policy: MethodPolicy) -> Row {
        *MethodTable::new().with(PATH, policy).row(PATH).unwrap()
    }

    fn meters() -> Arc<Meters> {
        Arc::new(Meters::new(MethodTable::new().len() + 1))
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_limited_at_a_time_and_a_finished_one_makes_room() {
        let (meters, row) = (meters(), row(MethodPolicy::unary(1, calls(2, 100, 100))));
        let first = meters.enter(&row).unwrap();
        let _second = meters.enter(&row).unwrap();
        assert_eq!(meters.enter(&row).unwrap_err(), Excess::AtATime { limit: 2 });
        drop(first);
        meters.enter(&row).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_call_costs_nothing_and_the_wait_that_it_was_told_is_enough() {
        let (meters, row) = (meters(), row(MethodPolicy::unary(1, calls(2, 10, 3))));
        for _ in 0..3 {
            meters.enter(&row).unwrap();
        }
        let wait = Duration::from_millis(100);
        for _ in 0..5 {
            let rate = Rate { per_second: 10, burst: 3 };
            assert_eq!(meters.enter(&row).unwrap_err(), Excess::Rate { unit: "calls", rate, wait });
        }
        tokio::time::advance(wait).await;
        meters.enter(&row).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_that_asks_for_too_much_keeps_the_next_one_out_until_that_has_come_back() {
        let policy = MethodPolicy::unary(1, calls(2, 100, 100)).counting(Unit::Headers, 50, 100);
        let (meters, row) = (meters(), row(policy));
        let meter = CallMeter::new(&meters, &row);
        drop(meters.enter(&row).unwrap());
        meter.charge(200);
        let rate = Rate { per_second: 50, burst: 100 };
        let wait = Duration::from_millis(2_020);
        assert_eq!(meters.enter(&row).unwrap_err(), Excess::Rate { unit: "headers", rate, wait });
        tokio::time::advance(wait).await;
        meters.enter(&row).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_pays_as_it_reads_goes_no_faster_than_the_rate() {
        let policy = MethodPolicy::client_stream(1, calls(2, 100, 100)).counting(Unit::Transactions, 50, 100);
        let (meters, row) = (meters(), row(policy));
        let (one, other) = (CallMeter::new(&meters, &row), CallMeter::new(&meters, &row));
        let start = Instant::now();
        one.pay(100).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "a burst is had at once");
        let pay = async |meter: &CallMeter| {
            for _ in 0..10 {
                meter.pay(10).await;
            }
        };
        tokio::join!(pay(&one), pay(&other));
        // 200 more at 50 a second; what is taken last is not waited for any more.
        let took = start.elapsed();
        assert!(took > Duration::from_millis(3_600) && took < Duration::from_millis(4_100), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_after_many_refusals_is_named_and_who_waits_never_is() {
        let (patient, row) = (meters(), row(MethodPolicy::unary(1, calls(2, 10, 3))));
        let meter = CallMeter::new(&patient, &row);
        for _ in 0..1_000 {
            if let Err(excess) = patient.enter(&row) {
                // It comes as often as it may, and is refused as often.
                tokio::time::advance(excess.wait()).await;
                patient.enter(&row).unwrap();
            }
        }
        assert!(meter.overrun().now_or_never().is_none());
        let deaf = meters();
        let meter = CallMeter::new(&deaf, &row);
        let refused = (0..4 + WARNINGS.burst).filter(|_| deaf.enter(&row).is_err()).count();
        assert_eq!(refused, 65);
        assert!(meter.overrun().now_or_never().is_none(), "it may not have heard yet");
        deaf.enter(&row).unwrap_err();
        assert_eq!(meter.overrun().now_or_never(), Some(PATH));
        assert_eq!(meter.overrun().now_or_never(), Some(PATH), "whoever asks, and however often");
    }
}
