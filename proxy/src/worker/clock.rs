//! The wall clock of a worker, read seldom: every request wants to know the time of day, and the monotonic clock
//! tells how much of it passed since it was last read.

use std::cell::Cell;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// How long a reading is good for: so late a request learns of a clock that was set. Between two readings the clocks
/// differ by what NTP slews at most, 50 microseconds.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct WallClock {
    read: Cell<(Instant, SystemTime)>,
}

impl Default for WallClock {
    /// Reads the clock a first time.
    fn default() -> Self {
        Self { read: Cell::new((Instant::now(), SystemTime::now())) }
    }
}

impl WallClock {
    /// The time of day at `now`, which is the present.
    pub fn at(&self, now: Instant) -> SystemTime {
        let (read, time) = self.read.get();
        let passed = now.saturating_duration_since(read);
        if passed < GOOD_FOR {
            return time + passed;
        }
        let time = SystemTime::now();
        self.read.set((now, time));
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_goes_on_between_readings_and_is_read_again() {
        let clock = WallClock::default();
        let (read, time) = clock.read.get();
        let soon = Duration::from_millis(99);
        assert_eq!(clock.at(read + soon), time + soon);
        assert_eq!(clock.read.get().0, read);
        clock.at(read + GOOD_FOR);
        assert_eq!(clock.read.get().0, read + GOOD_FOR);
    }
}
