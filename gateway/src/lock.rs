//! How a lock is taken here: a thread that panicked while it held one has left whole values behind.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What `mutex` guards, also after a panic.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
