//! How long a device that stands still is borne.

use std::time::Duration;

use super::membership::TICK;

/// Others get the requests when it has been stuck for so many ticks: right after the process itself
/// stood still, a device looks stuck that is not.
const LEAVE: u32 = 3;
/// It is given up when it has been stuck for so many times as long again as made it stuck.
const GIVE_UP: u32 = 2;

/// Counts in ticks, which pass only while this process runs.
#[derive(Debug, Default)]
pub struct Endurance {
    stuck: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Well,
    /// Stay out of the queue group.
    Leave,
    /// Only a restart would help.
    GiveUp,
}

impl Endurance {
    /// Looks once a tick. `patience`: after how long without progress the device counts as stuck.
    pub fn look(&mut self, stuck: bool, patience: Duration) -> Verdict {
        self.stuck = if stuck { self.stuck + 1 } else { 0 };
        if self.stuck < LEAVE {
            return Verdict::Well;
        }
        if TICK * self.stuck < patience * GIVE_UP { Verdict::Leave } else { Verdict::GiveUp }
    }

    /// Whether the last look showed that.
    pub fn is_well(&self) -> bool {
        self.stuck < LEAVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_stuck_device_is_first_left_alone_and_then_given_up() {
        let mut endurance = Endurance::default();
        let verdicts: Vec<_> = (0..101).map(|_| endurance.look(true, PATIENCE)).collect();
        assert!(verdicts[..2].iter().all(|verdict| *verdict == Verdict::Well));
        assert!(verdicts[2..99].iter().all(|verdict| *verdict == Verdict::Leave));
        assert_eq!(verdicts[100], Verdict::GiveUp);
    }

    #[test]
    fn one_that_moves_again_is_well_and_has_all_its_time_again() {
        let mut endurance = Endurance::default();
        (0..90).for_each(|_| assert_ne!(endurance.look(true, PATIENCE), Verdict::GiveUp));
        assert_eq!(endurance.look(false, PATIENCE), Verdict::Well);
        (0..90).for_each(|_| assert_ne!(endurance.look(true, PATIENCE), Verdict::GiveUp));
    }
}
