//! Everything that the screen shows.

use super::{Moment, browser::Browser, pool::Pool};

#[derive(Clone, Debug)]
pub struct Watch {
    pub pool: Pool,
    pub browser: Browser,
    pub broker: Broker,
    /// What all subjects begin with.
    pub prefix: String,
    /// `*` for all.
    pub model: String,
}

/// The way to the broker.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Without passwords.
    pub address: String,
    pub link: Link,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not found yet, since the beginning.
    Sought,
    Up,
    Lost {
        since: Moment,
    },
}

impl Watch {
    pub fn new(address: String, prefix: String, model: String) -> Self {
        let broker = Broker { address, link: Link::Sought };
        Self { pool: Pool::default(), browser: Browser::default(), broker, prefix, model }
    }
}

impl Broker {
    /// The connection came.
    pub fn found(&mut self) {
        self.link = Link::Up;
    }

    /// The connection went. It is being looked for.
    pub fn lost(&mut self, now: Moment) {
        if self.link == Link::Up {
            self.link = Link::Lost { since: now };
        }
    }

    /// The address, and what is wrong with it.
    pub fn line(&self, now: Moment) -> String {
        match self.link {
            Link::Up => self.address.clone(),
            Link::Sought => format!("no broker at {} yet, looking for it", self.address),
            Link::Lost { since } => {
                let seconds = now.saturating_sub(since).as_secs();
                format!("{} lost {seconds} s ago, looking for it", self.address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lost_broker_is_told_with_its_time_until_it_is_back() {
        let now = Duration::from_secs;
        let mut broker = Watch::new("nats://b".into(), "policy".into(), "*".into()).broker;
        broker.lost(now(1));
        assert_eq!(broker.line(now(2)), "no broker at nats://b yet, looking for it");
        broker.found();
        assert_eq!(broker.line(now(3)), "nats://b");
        broker.lost(now(4));
        broker.lost(now(6));
        assert_eq!(broker.line(now(9)), "nats://b lost 5 s ago, looking for it");
        broker.found();
        assert_eq!(broker.line(now(9)), "nats://b");
    }
}
