//! What a client has received of the world: snapshots, read by the schema of the host.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use amphi_shared_replica::{
    Input, NetId, Row, Schema, SchemaFit, Snapshot, SnapshotDecoder, SnapshotError, Tables, encode_inputs_with,
};
use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::SNAPSHOTS_EARLY_MAX;
use amphi_shared_wire::proto;
use bytes::Bytes;

/// Snapshots and the rows they left behind, as the own build of the game knows them.
pub(crate) struct Received {
    own: Arc<Schema>,
    reader: Option<Reader>,
    /// Snapshots that overtook the schema. The host takes them as read and does not say again what rests since.
    early: VecDeque<Bytes>,
}

struct Reader {
    decoder: SnapshotDecoder,
    fit: SchemaFit,
    same: bool,
}

impl Received {
    pub(crate) fn new(own: Arc<Schema>) -> Self {
        Self { own, reader: None, early: VecDeque::new() }
    }

    /// Forgets everything: the session is another one.
    pub(crate) fn clear(&mut self) {
        (self.reader, self.early) = (None, VecDeque::new());
    }

    /// The host says its schema: snapshots can be read from here on, unless it is the one that is known already. Gives the
    /// snapshots that came before. An error says in words what does not fit.
    pub(crate) fn begin(&mut self, schema_json: &str, tick_hz: u32) -> Result<VecDeque<Bytes>, String> {
        if self.reader.as_ref().is_some_and(|reader| reader.decoder.schema().to_json() == schema_json) {
            return Ok(VecDeque::new());
        }
        let same = self.own.to_json() == schema_json;
        let theirs = if same { Ok(Arc::clone(&self.own)) } else { Schema::read(schema_json) };
        let theirs = theirs.map_err(|error| error.to_string())?;
        let fit = SchemaFit::new(&self.own, &theirs).map_err(|misfit| misfit.to_string())?;
        self.reader = Some(Reader { decoder: SnapshotDecoder::new(theirs).with_tick_hz(tick_hz), fit, same });
        Ok(std::mem::take(&mut self.early))
    }

    /// Reads a snapshot; `None` when it waits for the schema.
    pub(crate) fn decode(&mut self, payload: &Bytes) -> Option<Result<Snapshot, SnapshotError>> {
        if let Some(reader) = &mut self.reader {
            return Some(reader.decoder.decode(payload));
        }
        if self.early.len() == SNAPSHOTS_EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back(payload.clone());
        None
    }

    /// Reads a part of the world. `None`: what it tells must be told again.
    pub(crate) fn decode_part(&mut self, payload: &[u8]) -> Option<Snapshot> {
        self.reader.as_mut()?.decoder.decode_part(payload).ok()
    }

    /// Takes code tables; false when this build cannot read them.
    pub(crate) fn add_tables(&mut self, message: &proto::Tables) -> bool {
        let Some(reader) = &mut self.reader else { return false };
        let tables = Tables::from_bytes(&message.data, reader.decoder.schema()).ok();
        let Some(tables) = tables.filter(|tables| tables.hash() == message.hash) else { return false };
        let set = u8::try_from(message.set).unwrap_or(0);
        reader.decoder.add_tables(set, Arc::new(tables));
        true
    }

    /// The newest row of an entity, and its tick.
    pub(crate) fn row(&self, id: NetId) -> Option<(Tick, Cow<'_, Row>)> {
        let reader = self.reader.as_ref()?;
        let (tick, row) = reader.decoder.row(id)?;
        Some((tick, reader.fitted(&self.own, row)))
    }

    /// Entities that are there, by ascending id, with their newest rows and the ticks of those.
    pub(crate) fn entities(&self) -> impl Iterator<Item = (NetId, Tick, Cow<'_, Row>)> {
        self.reader.iter().flat_map(|reader| {
            reader.decoder.entities().map(|(id, tick, row)| (id, tick, reader.fitted(&self.own, row)))
        })
    }

    /// The newest tick received.
    pub(crate) fn tick(&self) -> Tick {
        self.reader.as_ref().map_or(Tick(0), |reader| reader.decoder.tick())
    }

    /// The payload of the input lane, as the host reads it.
    pub(crate) fn encode_inputs<I: Input>(&self, newest: Tick, inputs: &[I]) -> Vec<u8> {
        encode_inputs_with(newest, inputs, |input, writer| match &self.reader {
            Some(reader) => reader.fit.write_input(input, writer),
            None => input.encode(writer),
        })
    }
}

impl Reader {
    fn fitted<'a>(&self, own: &Schema, row: &'a Row) -> Cow<'a, Row> {
        if self.same { Cow::Borrowed(row) } else { Cow::Owned(self.fit.row(own, self.decoder.schema(), row)) }
    }
}

#[cfg(test)]
mod tests;
