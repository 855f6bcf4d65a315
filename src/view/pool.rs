//! All workers that were heard.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Moment,
    member::{Measured, Member},
};
use crate::wire::{Health, Snapshot};

/// Bytes of a message that a worker could mean: ten times what one sends.
const LONGEST: usize = 64 * 1024;
/// Workers that are kept. A pool is far smaller; a flood of names must not fill the memory.
const KEPT: usize = 1000;
/// When a worker that says nothing is left out.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Which worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub model: String,
    pub worker: String,
}

/// The workers by model and name, each as its last start was heard.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    workers: BTreeMap<Id, Member>,
    /// Counters of starts whose health was not yet heard: all there is to know of them is in
    /// health.
    early: BTreeMap<Id, Early>,
    /// Messages that could not be read.
    pub not_understood: u64,
}

#[derive(Clone, Debug)]
struct Early {
    boot_id: String,
    measured: Measured,
    heard: Moment,
}

impl Pool {
    /// A message on the health subject came.
    pub fn hear_health(&mut self, body: &[u8], now: Moment) {
        let health = (body.len() <= LONGEST).then(|| serde_json::from_slice::<Health>(body).ok());
        let Some(health) = health.flatten() else {
            self.not_understood += 1;
            return;
        };
        let id = Id { model: health.model.clone(), worker: health.worker.clone() };
        match self.workers.get_mut(&id) {
            Some(worker) if worker.health.boot_id == health.boot_id => worker.hear(health, now),
            known => {
                let restarts = known.map_or(0, |worker| worker.restarts + 1);
                let measured = self.early_counters(&id, &health.boot_id);
                let mut worker = Member::new(health, measured, now);
                worker.restarts = restarts;
                self.workers.insert(id, worker);
                self.keep_within_limit();
            }
        }
    }

    /// A message on the metrics subject came.
    pub fn hear_metrics(&mut self, body: &[u8], now: Moment) {
        let snapshot =
            (body.len() <= LONGEST).then(|| rmp_serde::from_slice::<Snapshot>(body).ok());
        let Some(snapshot) = snapshot.flatten() else {
            self.not_understood += 1;
            return;
        };
        let id = Id { model: snapshot.model.clone(), worker: snapshot.worker.clone() };
        match self.workers.get_mut(&id) {
            Some(worker) if worker.health.boot_id == snapshot.boot_id => {
                worker.heard = now;
                worker.measured.hear(&snapshot, now);
            }
            _ => self.hear_early(id, &snapshot, now),
        }
    }

    /// Leaves out who has said nothing for ten minutes.
    pub fn forget(&mut self, now: Moment) {
        let is_recent = |heard: Moment| now.saturating_sub(heard) < FORGOTTEN_AFTER;
        self.workers.retain(|_, worker| is_recent(worker.heard));
        self.early.retain(|_, early| is_recent(early.heard));
    }

    pub fn workers(&self) -> impl Iterator<Item = &Member> {
        self.workers.values()
    }

    pub fn get(&self, id: &Id) -> Option<&Member> {
        self.workers.get(id)
    }

    fn hear_early(&mut self, id: Id, snapshot: &Snapshot, now: Moment) {
        if self.early.len() >= KEPT && !self.early.contains_key(&id) {
            return;
        }
        let boot_id = snapshot.boot_id.clone();
        let mut measured = self.early_counters(&id, &boot_id);
        measured.hear(snapshot, now);
        self.early.insert(id, Early { boot_id, measured, heard: now });
    }

    fn early_counters(&mut self, id: &Id, boot_id: &str) -> Measured {
        match self.early.remove(id) {
            Some(early) if early.boot_id == boot_id => early.measured,
            _ => Measured::default(),
        }
    }

    fn keep_within_limit(&mut self) {
        if self.workers.len() > KEPT {
            let longest = self.workers.iter().min_by_key(|(_, worker)| worker.heard);
            if let Some(id) = longest.map(|(id, _)| id.clone()) {
                self.workers.remove(&id);
            }
        }
    }
}

impl Member {
    pub fn id(&self) -> Id {
        Id { model: self.health.model.clone(), worker: self.health.worker.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said;

    const fn seconds(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn health(worker: &str, boot_id: &str) -> Vec<u8> {
        said::health_body(&Health { boot_id: boot_id.into(), ..said::health(worker) })
    }

    fn only(pool: &Pool) -> &Member {
        let workers: Vec<_> = pool.workers().collect();
        assert_eq!(workers.len(), 1);
        workers[0]
    }

    #[test]
    fn a_restart_begins_a_new_history() {
        let mut pool = Pool::default();
        pool.hear_health(&health("a", "first"), seconds(0));
        pool.hear_health(&health("a", "first"), seconds(2));
        pool.hear_metrics(&said::snapshot_body(&said::snapshot("a", 1.0)), seconds(2));
        assert_eq!(only(&pool).history.last(9).count(), 2);
        pool.hear_health(&health("a", "second"), seconds(4));
        let worker = only(&pool);
        assert_eq!((worker.history.last(9).count(), worker.restarts), (1, 1));
        assert_eq!(worker.measured, Measured::default());
    }

    #[test]
    fn the_same_name_under_another_model_is_another_worker() {
        let mut pool = Pool::default();
        pool.hear_health(&said::health_body(&said::health("a")), seconds(0));
        let other = Health { model: "parking".into(), ..said::health("a") };
        pool.hear_health(&said::health_body(&other), seconds(0));
        assert_eq!(pool.workers().count(), 2);
    }

    #[test]
    fn counters_that_come_before_the_first_health_are_not_lost() {
        let mut pool = Pool::default();
        let snapshot = said::snapshot("a", 1.0);
        pool.hear_metrics(&said::snapshot_body(&snapshot), seconds(0));
        assert_eq!(pool.workers().count(), 0);
        pool.hear_health(&health("a", &snapshot.boot_id), seconds(1));
        assert!(only(&pool).measured.memory_bytes.is_some());
    }

    #[test]
    fn counters_keep_a_worker_from_being_gone() {
        let mut pool = Pool::default();
        pool.hear_health(&said::health_body(&said::health("a")), seconds(0));
        pool.hear_metrics(&said::snapshot_body(&said::snapshot("a", 1.0)), seconds(9));
        assert!(only(&pool).standing(seconds(12)).is_live());
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_keys_of_later_versions_are_passed_over() {
        let mut pool = Pool::default();
        for body in [&b""[..], b"{}", b"[]", b"\xff\x00", b"{\"state\": \"asleep\"}"] {
            pool.hear_health(body, seconds(0));
            pool.hear_metrics(body, seconds(0));
        }
        assert_eq!((pool.not_understood, pool.workers().count()), (10, 0));

        let mut later = serde_json::to_value(said::health("a")).unwrap();
        later["schema"] = 2.into();
        later["mood"] = serde_json::json!({"good": [1, 2]});
        pool.hear_health(later.to_string().as_bytes(), seconds(0));
        let mut later = serde_json::to_value(said::snapshot("a", 1.0)).unwrap();
        later["mood"] = serde_json::json!({"good": [1, 2]});
        pool.hear_metrics(&rmp_serde::to_vec_named(&later).unwrap(), seconds(0));
        assert_eq!(pool.not_understood, 10);
        assert!(only(&pool).measured.memory_bytes.is_some());
    }

    #[test]
    fn workers_unheard_for_ten_minutes_are_left_out() {
        let mut pool = Pool::default();
        pool.hear_health(&health("old", "x"), seconds(0));
        pool.hear_health(&health("new", "x"), seconds(300));
        pool.forget(seconds(600));
        assert_eq!(only(&pool).health.worker, "new");
    }

    #[test]
    fn a_flood_of_names_pushes_out_those_unheard_for_longest() {
        let mut pool = Pool::default();
        for i in 0..=KEPT as u64 {
            pool.hear_health(&health(&format!("w{i}"), "x"), seconds(i));
            let snapshot = Snapshot { worker: format!("s{i}"), ..said::snapshot("", 1.0) };
            pool.hear_metrics(&said::snapshot_body(&snapshot), seconds(i));
        }
        assert_eq!((pool.workers().count(), pool.early.len()), (KEPT, KEPT));
        assert!(pool.workers().all(|worker| worker.health.worker != "w0"));
    }
}
