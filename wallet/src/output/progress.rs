//! Says on stderr that something takes its time: a line that is drawn again and again, and gone at the end. Nothing of it
//! where nobody looks: no terminal, `--quiet`, `--json`.

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::terminal::columns;

/// What is over sooner is not remarked on.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a frame stands.
const FRAME: Duration = Duration::from_millis(100);
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Columns of a bar.
const WIDTH: u64 = 24;
/// Back to the first column, and nothing from there on.
const CLEAR: &str = "\r\u{1b}[K";

/// The one line that is drawn again and again. Whoever writes to stderr wipes it first.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage(Arc<Mutex<Scene>>);

#[derive(Debug, Default)]
struct Scene {
    is_drawn: bool,
    /// Nothing is drawn while a question waits for its answer.
    is_held: bool,
}

impl Stage {
    /// Wipes the line, and keeps others from drawing until the work is done.
    pub(super) fn cleared<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut scene = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut scene.is_drawn) {
            put(CLEAR);
        }
        work()
    }

    /// Keeps the line away, or no longer.
    pub(super) fn hold(&self, is_held: bool) {
        self.cleared(|| ());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_held = is_held;
    }

    fn draw(&self, line: &str) {
        let mut scene = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !scene.is_held {
            scene.is_drawn = true;
            put(&format!("{CLEAR}{line}"));
        }
    }
}

fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    // Nobody is left to tell when stderr fails.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[derive(Debug, Default)]
struct Count {
    done: AtomicU64,
    /// Zero while nobody knows how much there is.
    total: AtomicU64,
}

/// Something that takes its time, until it is dropped.
#[derive(Debug)]
pub struct Progress {
    count: Arc<Count>,
    /// Dropped to end the thread.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub(super) fn none() -> Self {
        Self { count: Arc::default(), end: None, thread: None }
    }

    pub(super) fn begin(stage: Stage, what: String) -> Self {
        let count = Arc::<Count>::default();
        let (end, ended) = mpsc::channel::<()>();
        let shown = Arc::clone(&count);
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let mut pause = PATIENCE;
            for frame in FRAMES.iter().cycle() {
                if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                pause = FRAME;
                stage.draw(&cut(line(frame, &what, started.elapsed(), &shown), columns(io::stderr())));
            }
            stage.cleared(|| ());
        });
        Self { count, end: Some(end), thread: Some(thread) }
    }

    /// So much of it is done; shown as a bar.
    pub fn set(&self, done: u64, total: u64) {
        self.count.total.store(total, Ordering::Relaxed);
        self.count.done.store(done.min(total), Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It can only have ended.
            let _ = thread.join();
        }
    }
}

/// No longer than the terminal is wide: what wraps is not wiped.
fn cut(line: String, columns: Option<usize>) -> String {
    let Some(most) = columns.map(|columns| columns.saturating_sub(1)).filter(|most| line.chars().count() > *most)
    else {
        return line;
    };
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn line(frame: &str, what: &str, elapsed: Duration, count: &Count) -> String {
    let (done, total) = (count.done.load(Ordering::Relaxed), count.total.load(Ordering::Relaxed));
    let seconds = elapsed.as_secs();
    if total == 0 {
        return format!("{frame} {what} {seconds} s");
    }
    let full = u64::try_from(u128::from(done) * u128::from(WIDTH) / u128::from(total)).unwrap_or(WIDTH).min(WIDTH);
    let bar: String = (0..WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
    format!("{frame} {what} {bar} {done}/{total} {seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let count = Count::default();
        assert_eq!(line("*", "looking", Duration::from_secs(3), &count), "* looking 3 s");
        count.total.store(u64::MAX, Ordering::Relaxed);
        count.done.store(u64::MAX / 2 + 1, Ordering::Relaxed);
        let text = line("*", "looking", Duration::ZERO, &count);
        assert_eq!((text.matches('█').count(), text.matches('░').count()), (12, 12), "{text}");
        count.done.store(u64::MAX, Ordering::Relaxed);
        assert!(!line("*", "looking", Duration::ZERO, &count).contains('░'));
    }

    #[test]
    fn a_line_does_not_wrap() {
        let line = "⠋ waiting for a block 0 s";
        assert_eq!(cut(line.into(), None), line);
        assert_eq!(cut(line.into(), Some(26)), line);
        assert_eq!(cut(line.into(), Some(25)), "⠋ waiting for a block 0…");
        assert_eq!(cut(line.into(), Some(25)).chars().count(), 24);
        assert_eq!(cut(line.into(), Some(1)), "…");
    }

    #[test]
    fn progress_that_nobody_sees_starts_no_thread() {
        let progress = Progress::none();
        progress.set(1, 2);
        assert!(progress.thread.is_none());
    }
}
