//! How many watch each group of topics, told at most once per second.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::{AppId, Micros, Topic};

/// Shortest time between two numbers about one group.
const EVERY: Micros = Micros::from_secs(1);

/// Names a group by its statistics topic.
pub(crate) type Group = (AppId, Topic);

/// The statistics topic of the group that `topic` belongs to: `{first}:{second}:stats`.
pub(crate) fn stats_topic(topic: &Topic) -> Option<Topic> {
    let mut parts = topic.parts();
    let (first, second) = (parts.next()?, parts.next()?);
    format!("{first}:{second}:stats").parse().ok()
}

#[derive(Debug, Default)]
struct Count {
    viewers: u32,
    told: Option<u32>,
    next: Micros,
    due: Option<Micros>,
}

/// Viewers per group.
#[derive(Debug, Default)]
pub(crate) struct Audiences {
    groups: BTreeMap<Group, Count>,
    due: BTreeSet<(Micros, Group)>,
}

impl Audiences {
    /// One more viewer.
    pub(crate) fn joined(&mut self, now: Micros, group: Group) {
        self.groups.entry(group.clone()).or_default().viewers += 1;
        self.plan(now, group);
    }

    /// One viewer less.
    pub(crate) fn left(&mut self, now: Micros, group: Group) {
        let count = self.groups.get_mut(&group).expect("who leaves a group has joined it");
        count.viewers -= 1;
        self.plan(now, group);
    }

    /// The number to tell right away, for a statistics topic that has just come to be.
    pub(crate) fn opened(&mut self, now: Micros, group: &Group) -> u32 {
        let count = self.groups.entry(group.clone()).or_default();
        if let Some(due) = count.due.take() {
            self.due.remove(&(due, group.clone()));
        }
        count.told = Some(count.viewers);
        count.next = now + EVERY;
        count.viewers
    }

    /// The statistics topic is gone.
    pub(crate) fn closed(&mut self, group: &Group) {
        if let Some(count) = self.groups.get_mut(group) {
            count.told = None;
            if count.viewers == 0 {
                self.forget(group);
            }
        }
    }

    /// The next group with news, and its number.
    pub(crate) fn poll(&mut self, now: Micros) -> Option<(Group, u32)> {
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let (_, group) = self.due.pop_first()?;
            let Some(count) = self.groups.get_mut(&group) else { continue };
            count.due = None;
            if count.told.is_none_or(|told| told == count.viewers) {
                continue;
            }
            count.told = Some(count.viewers);
            count.next = now + EVERY;
            return Some((group, count.viewers));
        }
        None
    }

    /// When the next number may be told.
    pub(crate) fn poll_timeout(&self) -> Option<Micros> {
        self.due.first().map(|(due, _)| *due)
    }

    /// All viewers of all groups.
    pub(crate) fn viewers(&self) -> u64 {
        self.groups.values().map(|count| u64::from(count.viewers)).sum()
    }

    /// Nobody hears about a group without a statistics topic, so nothing is planned for it.
    fn plan(&mut self, now: Micros, group: Group) {
        let Some(count) = self.groups.get_mut(&group) else { return };
        if count.told.is_none() {
            if count.viewers == 0 {
                self.forget(&group);
            }
        } else if count.due.is_none() {
            let due = count.next.max(now);
            count.due = Some(due);
            self.due.insert((due, group));
        }
    }

    fn forget(&mut self, group: &Group) {
        if let Some(due) = self.groups.remove(group).and_then(|count| count.due) {
            self.due.remove(&(due, group.clone()));
        }
    }
}
