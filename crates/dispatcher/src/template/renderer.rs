//! The threads that templates are compiled and rendered on.
//!
//! They have stack for what 16 KiB of operators need, which the runtime's threads haven't. There are few, so that templates leave the
//! processors to others; and each piece of work is short, so that none waits long. A panic ends its own work alone.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot};

const THREADS: usize = 2;
/// Of address space; memory is taken as it is used.
const STACK: usize = 64 << 20;
/// Pieces of work that wait; whoever comes after waits to be one of them.
const WAITING: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

static RENDERER: LazyLock<mpsc::Sender<Work>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<Work>(WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..THREADS {
        let receiver = Arc::clone(&receiver);
        let work = move || {
            loop {
                let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                let Some(work) = next else { return };
                // Whoever waits for its end sees that there was none.
                drop(std::panic::catch_unwind(AssertUnwindSafe(work)));
            }
        };
        let thread = thread::Builder::new().name(format!("templates-{number}"));
        if let Err(error) = thread.stack_size(STACK).spawn(work) {
            tracing::error!(%error, "a thread for templates can't be started");
        }
    }
    sender
});

/// Does work there. `None`: it panicked, or there is no thread.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (told, done) = oneshot::channel();
    let work = Box::new(move || {
        // Who isn't there any more wants nothing.
        if !told.is_closed() {
            drop(told.send(work()));
        }
    });
    RENDERER.send(work).await.ok()?;
    done.await.ok()
}
