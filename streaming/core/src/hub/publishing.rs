//! What is published, by whom, and what becomes of it.

use amphi_shared_wire::limits::{IDEMPOTENCY_KEY_BYTES_MAX, PUBLISHES_PENDING_MAX, SERVICE_PUBLISH_BYTES_MAX};
use amphi_shared_wire::proto::{Payload, Publish, Published, payload, topic_reply};
use amphi_shared_wire::{AppId, Code, Micros};
use prost::Message;

use super::{Hub, HubOutput, ReplyTo};
use crate::audience::Group;
use crate::chat::ChatLine;
use crate::payload::{check, entry, fingerprint};
use crate::{
    Access, BrokerFault, BrokerRequest, Content, Denied, EntryChange, Once, Person, PublishOrder, Receipt, Record,
    TopicKey,
};

/// Who waits for a broker's word about a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Session(ReplyTo),
    /// Somebody without a session, by a ticket of their own.
    Ticket(u64),
    /// The hub itself, which has nobody to tell.
    Hub,
}

/// What is published, before its topic is known to a broker.
struct Draft {
    flags: u8,
    entry: Option<EntryChange>,
    payload: Payload,
    once: Option<Once>,
}

impl Hub {
    /// Publishes for a service. What becomes of it comes as a [`HubOutput::Published`] with this `ticket`.
    ///
    /// `name` tells services apart, so that an idempotency key of one is not another's. `flags` bit 0 is
    /// [`crate::FLAG_KEYFRAME`]; the other bits are the topic's own.
    ///
    /// # Errors
    /// The reason for which nothing is published.
    pub fn publish_service(
        &mut self,
        now: Micros,
        ticket: u64,
        (app, name): (&AppId, &str),
        (flags, ask): (u8, Publish),
    ) -> Result<(), Denied> {
        let done = self.try_publish_service(now, ticket, (app, name), (flags, ask));
        done.inspect_err(|denied| self.count(*denied))
    }

    /// Publishes for a person without a session. What becomes of it comes as a [`HubOutput::Published`] with this `ticket`.
    ///
    /// # Errors
    /// The reason for which nothing is published.
    pub fn publish_person(&mut self, now: Micros, ticket: u64, person: &Person, ask: Publish) -> Result<(), Denied> {
        let done = self.publish(now, Asker::Ticket(ticket), person, ask);
        done.inspect_err(|denied| self.count(*denied))
    }

    pub(super) fn publish(&mut self, now: Micros, to: Asker, person: &Person, ask: Publish) -> Result<(), Denied> {
        let (name, index) = self.classify(&ask.topic)?;
        let class = &self.config.classes[index];
        if !class.publish.allows(person, &name, |grants| &grants.publish) {
            return Err(Denied::new(Code::PublishForbidden, "the topic does not take publications from you"));
        }
        let payload = check(ask.payload, class.message_bytes_max)?;
        let once = once(&person.user, &ask.key, &payload)?;
        let line = match class.content {
            Content::Any => None,
            Content::ChatLine => Some(ChatLine::parse(&payload)?),
        };
        let entry = class.key.as_ref().map(|key| entry(&payload, key)).transpose()?;
        self.publish_paces[index]
            .take(now, person.user)
            .map_err(|wait| Denied::later(Code::RateLimited, "too many publications in a short time", wait))?;
        let payload = line.map_or(payload, |line| line.publication(person, now));
        let key = TopicKey { app: person.app.clone(), name };
        self.order(now, to, (key, index), Draft { flags: 0, entry, payload, once })
    }

    fn try_publish_service(
        &mut self,
        now: Micros,
        ticket: u64,
        (app, service): (&AppId, &str),
        (flags, ask): (u8, Publish),
    ) -> Result<(), Denied> {
        let (name, index) = self.classify(&ask.topic)?;
        let class = &self.config.classes[index];
        if class.publish == Access::Hub {
            return Err(Denied::new(Code::PublishForbidden, "only the hub publishes here"));
        }
        let payload = check(ask.payload, SERVICE_PUBLISH_BYTES_MAX)?;
        let once = once(&service, &ask.key, &payload)?;
        let entry = class.key.as_ref().map(|key| entry(&payload, key)).transpose()?;
        let key = TopicKey { app: app.clone(), name };
        self.order(now, Asker::Ticket(ticket), (key, index), Draft { flags, entry, payload, once })
    }

    pub(super) fn publish_viewers(&mut self, now: Micros, (app, name): &Group, viewers: u32) {
        let Ok((name, class)) = self.classify(name.as_str()) else { return };
        let json = format!(r#"{{"viewers":{viewers}}}"#);
        let payload = Payload { kind: Some(payload::Kind::Json(json)) };
        let draft = Draft { flags: 0, entry: None, payload, once: None };
        // At a limit a number is left out; the next one follows.
        let _ = self.order(now, Asker::Hub, (TopicKey { app: app.clone(), name }, class), draft);
    }

    fn order(
        &mut self,
        now: Micros,
        asker: Asker,
        (topic, class): (TopicKey, usize),
        Draft { flags, entry, payload, once }: Draft,
    ) -> Result<(), Denied> {
        if self.pending.len() >= PUBLISHES_PENDING_MAX {
            return Err(BrokerFault::Overloaded.denied());
        }
        self.ticket_last += 1;
        let (ticket, rules) = (self.ticket_last, self.config.classes[class].rules());
        self.pending.insert(ticket, asker);
        let record = Record { offset: 0, at: now, flags, entry, payload: payload.encode_to_vec().into() };
        self.requests.push_back(BrokerRequest::Publish(PublishOrder { ticket, topic, rules, record, once }));
        Ok(())
    }

    /// Tells who published what became of it.
    pub(super) fn published(&mut self, ticket: u64, receipt: Result<Receipt, BrokerFault>) {
        let Some(asker) = self.pending.remove(&ticket) else { return };
        if let Ok(Receipt { duplicate, .. }) = receipt {
            self.counters.publications += u64::from(!duplicate);
            self.counters.duplicates += u64::from(duplicate);
        }
        match (asker, receipt.map_err(BrokerFault::denied)) {
            (Asker::Session(to), Ok(Receipt { offset, .. })) => {
                self.reply(to, topic_reply::Kind::Published(Published { offset }));
            }
            (Asker::Session((session, id)), Err(denied)) => self.refuse(session, id, denied),
            (Asker::Ticket(ticket), receipt) => {
                if let Err(denied) = receipt {
                    self.count(denied);
                }
                self.outputs.push_back(HubOutput::Published { ticket, receipt });
            }
            (Asker::Hub, _) => {}
        }
    }
}

/// What makes a publication happen once: a key belongs to whoever published.
fn once(owner: &dyn std::fmt::Display, key: &str, payload: &Payload) -> Result<Option<Once>, Denied> {
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Denied::new(Code::MessageInvalid, "an idempotency key has at most 64 bytes"));
    }
    let once = || Once { key: format!("{owner}/{key}"), fingerprint: fingerprint(payload) };
    Ok((!key.is_empty()).then(once))
}
