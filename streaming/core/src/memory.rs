//! The broker of a node that has nothing beside it: every topic's log in the memory of the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_shared_wire::{Micros, Rng, Seed};

use crate::log::TopicLog;
use crate::{BrokerEvent, BrokerFault, BrokerRequest, LogRules, LogView, PublishOrder, TopicKey};

/// Topics and their logs. What is asked is answered at once.
///
/// Each `handle_*` is followed by [`MemoryBroker::poll_event`] until it is empty.
#[derive(Debug)]
pub struct MemoryBroker {
    logs: BTreeMap<TopicKey, TopicLog>,
    logs_max: usize,
    epochs: Rng,
    sweeps: BTreeSet<(Micros, TopicKey)>,
    events: VecDeque<BrokerEvent>,
}

impl MemoryBroker {
    /// A broker without topics that holds at most `logs_max`. Beyond: refuse with `Overloaded`. Epochs come from `seed`,
    /// which differs between processes.
    pub fn new(logs_max: usize, seed: Seed) -> Self {
        Self {
            logs: BTreeMap::new(),
            logs_max,
            epochs: seed.split("epochs").rng(),
            sweeps: BTreeSet::new(),
            events: VecDeque::new(),
        }
    }

    /// Does what a hub asks for.
    pub fn handle_request(&mut self, now: Micros, request: BrokerRequest) {
        match request {
            BrokerRequest::Read { topic, rules, since } => {
                let view = self.open(now, &topic, rules).map(|log| {
                    log.followed = true;
                    log.view(now, since)
                });
                self.events.push_back(BrokerEvent::Read { topic, view });
            }
            BrokerRequest::Publish(order) => self.publish(now, order),
            BrokerRequest::Leave { topic, .. } => {
                if let Some(log) = self.logs.get_mut(&topic) {
                    log.followed = false;
                    log.used_at = now;
                }
                self.sweep(now, &topic);
            }
            BrokerRequest::Tell { topic, message } => self.events.push_back(BrokerEvent::Told { topic, message }),
        }
    }

    /// Forgets topics whose idle time is over.
    pub fn handle_timeout(&mut self, now: Micros) {
        while self.sweeps.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, topic)) = self.sweeps.pop_first() else { break };
            if let Some(log) = self.logs.get_mut(&topic) {
                log.sweep_at = None;
            }
            self.sweep(now, &topic);
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<BrokerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do, and what.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        self.sweeps.first().map(|(at, _)| (*at, "idle log"))
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.logs.len()
    }

    /// What a topic holds, without following it.
    pub fn peek(&mut self, now: Micros, topic: &TopicKey) -> Option<LogView> {
        self.logs.get_mut(topic).map(|log| log.view(now, None))
    }

    fn publish(&mut self, now: Micros, order: PublishOrder) {
        let PublishOrder { ticket, topic, rules, record, once } = order;
        let done = self.open(now, &topic, rules).and_then(|log| {
            let (receipt, record) = log.publish(record, once)?;
            Ok((receipt, record.filter(|_| log.followed)))
        });
        let receipt = done.map(|(receipt, record)| {
            if let Some(record) = record {
                self.events.push_back(BrokerEvent::Publication { topic, epoch: receipt.epoch, record });
            }
            receipt
        });
        self.events.push_back(BrokerEvent::Published { ticket, receipt });
    }

    /// The log of a topic, which is made when there is none.
    fn open(&mut self, now: Micros, topic: &TopicKey, rules: LogRules) -> Result<&mut TopicLog, BrokerFault> {
        if !self.logs.contains_key(topic) {
            if self.logs.len() >= self.logs_max {
                return Err(BrokerFault::Overloaded);
            }
            self.logs.insert(topic.clone(), TopicLog::new(rules, self.epochs.next_u64(), now));
            self.plan_sweep(now, topic);
        }
        self.logs.get_mut(topic).ok_or(BrokerFault::Overloaded)
    }

    /// Looks again at a log when it may have become idle. One plan per log at a time.
    fn plan_sweep(&mut self, now: Micros, topic: &TopicKey) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        if log.sweep_at.is_none() {
            let at = log.expires_at().max(now);
            log.sweep_at = Some(at);
            self.sweeps.insert((at, topic.clone()));
        }
    }

    fn sweep(&mut self, now: Micros, topic: &TopicKey) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        if log.followed {
            return;
        }
        if log.expires_at() > now {
            return self.plan_sweep(now, topic);
        }
        if let Some(at) = log.sweep_at {
            self.sweeps.remove(&(at, topic.clone()));
        }
        self.logs.remove(topic);
    }
}
