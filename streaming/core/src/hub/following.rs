//! What a hub hears from a broker: reads, publications, and holes between them.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::TOPIC_HELD_MAX;

use super::{Hub, HubOutput, Lag};
use crate::topic::TopicState;
use crate::{BrokerEvent, BrokerFault, BrokerRequest, LogView, Reach, Record, TopicKey};

/// When a read that failed is asked for again.
const READ_AGAIN: Micros = Micros::from_millis(500);

/// How a publication stands to what a topic knows.
enum Fit {
    Known,
    Next,
    Ahead,
}

impl Hub {
    /// Takes what a broker says.
    pub fn handle_broker(&mut self, now: Micros, event: BrokerEvent) {
        match event {
            BrokerEvent::Published { ticket, receipt } => self.published(ticket, receipt),
            BrokerEvent::Publication { topic, epoch, record } => self.arrived(&topic, (epoch, record)),
            BrokerEvent::Read { topic, view } => {
                let Some(alias) = self.names.get(&topic).copied() else { return };
                match view {
                    Ok(view) => self.take_view(now, alias, view),
                    Err(fault) => self.read_failed(now, alias, fault),
                }
            }
            BrokerEvent::Unsure => self.read_all(),
        }
    }

    /// Asks a broker for what lies behind the newest known publication. One answer is awaited at a time.
    pub(super) fn request_read(&mut self, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        if topic.is_reading {
            topic.reads_again = true;
            return;
        }
        topic.is_reading = true;
        let since = topic.is_open.then(|| topic.position());
        let rules = self.config.classes[topic.class].rules();
        self.requests.push_back(BrokerRequest::Read { topic: topic.key.clone(), rules, since });
    }

    fn arrived(&mut self, topic: &TopicKey, (epoch, record): (u64, Record)) {
        let Some(alias) = self.names.get(topic).copied() else { return };
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        match fit(topic, epoch, record.offset) {
            Fit::Known => {}
            Fit::Next => self.deliver(alias, record),
            Fit::Ahead => {
                self.counters.holes += u64::from(topic.is_open && !topic.is_reading);
                if topic.held.len() < TOPIC_HELD_MAX {
                    topic.held.push_back((epoch, record));
                } else {
                    topic.reads_again = true;
                }
                if !topic.is_reading {
                    self.request_read(alias);
                }
            }
        }
    }

    fn take_view(&mut self, now: Micros, alias: u32, view: LogView) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        topic.is_reading = false;
        if !topic.is_open {
            topic.is_open = true;
            topic.replace(view, &self.config.classes[topic.class]);
            for waiting in std::mem::take(&mut topic.waiting) {
                self.add_reader(now, alias, waiting);
            }
            self.answer_looks(now, alias);
        } else if view.epoch != topic.epoch || leaves_a_hole(topic, &view) {
            topic.replace(view, &self.config.classes[topic.class]);
            self.reset_readers(now, alias);
        } else {
            self.catch_up(alias, view.records);
        }
        self.take_held(alias);
    }

    fn catch_up(&mut self, alias: u32, records: Vec<Record>) {
        for record in records {
            let Some(topic) = self.topics.get(&alias) else { return };
            match fit(topic, topic.epoch, record.offset) {
                Fit::Next => self.deliver(alias, record),
                Fit::Known | Fit::Ahead => {}
            }
        }
    }

    /// Delivers what waited for the publications before it. What still does not fit makes another read.
    fn take_held(&mut self, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let mut held: Vec<_> = topic.held.drain(..).collect();
        let mut again = std::mem::take(&mut topic.reads_again);
        held.sort_by_key(|(_, record)| record.offset);
        for (epoch, record) in held {
            let Some(topic) = self.topics.get_mut(&alias) else { return };
            match fit(topic, epoch, record.offset) {
                Fit::Known => {}
                Fit::Next => self.deliver(alias, record),
                // What it is ahead of is read, and itself with it.
                Fit::Ahead => again = true,
            }
        }
        if again {
            self.request_read(alias);
        }
    }

    fn read_failed(&mut self, now: Micros, alias: u32, fault: BrokerFault) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        topic.is_reading = false;
        if fault == BrokerFault::Unavailable || topic.is_open {
            self.rereads.insert((now + READ_AGAIN, alias));
            return;
        }
        // Nothing is known of it, and nobody is left who waits for it.
        let waiting = std::mem::take(&mut topic.waiting);
        self.refuse_waiting(now, alias, (waiting, fault.denied()));
        self.refuse_looks(Micros(u64::MAX), alias, fault.denied());
        self.forget(alias);
    }

    fn read_all(&mut self) {
        let shared = |(alias, topic): (&u32, &TopicState)| {
            (self.config.classes[topic.class].reach == Reach::Deployment).then_some(*alias)
        };
        let aliases: Vec<u32> = self.topics.iter().filter_map(shared).collect();
        aliases.into_iter().for_each(|alias| self.request_read(alias));
    }

    /// Hands a publication that is the next one to every reader.
    fn deliver(&mut self, alias: u32, record: Record) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let class = &self.config.classes[topic.class];
        topic.newest = record.offset;
        let key = record.entry.as_ref().map(|entry| entry.key.clone()).unwrap_or_default();
        let lag = Lag { slow: class.slow, key };
        if !topic.readers.is_empty() {
            let payload = TopicState::frame(alias, class.content, &record);
            self.outputs.push_back(HubOutput::Broadcast { alias, offset: record.offset, lag: lag.clone(), payload });
        }
        if !topic.text_readers.is_empty() {
            let (place, text) = (topic.place(alias, record.offset), topic.text(class.content, &record));
            self.outputs.push_back(HubOutput::BroadcastText { place, lag, text });
        }
        self.counters.history_dropped += topic.history.push(record);
    }
}

fn fit(topic: &TopicState, epoch: u64, offset: u64) -> Fit {
    if !topic.is_open || epoch != topic.epoch || offset > topic.newest + 1 {
        Fit::Ahead
    } else if offset == topic.newest + 1 {
        Fit::Next
    } else {
        Fit::Known
    }
}

/// True when publications behind the newest known one are gone.
fn leaves_a_hole(topic: &TopicState, view: &LogView) -> bool {
    let first = view.records.first().map_or(view.newest + 1, |record| record.offset);
    view.newest > topic.newest && first > topic.newest + 1
}
