//! Kinds of faults and how often each happened.

macro_rules! faults {
    ($($field:ident = $name:literal;)*) => {
        /// How often each kind of fault happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Faults {
            $(#[doc = $name] pub(crate) $field: u64,)*
        }

        /// Names of all kinds.
        pub(crate) const EVERY_FAULT: &[&str] = &[$($name,)*];

        impl Faults {
            /// Name and count of each kind.
            pub(crate) fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$field),)*]
            }

            /// Adds the counts of another history.
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

faults! {
    breaks = "pipe broken";
    handshake_breaks = "welcome lost";
    first_welcomes = "first welcome lost";
    half_open = "half-open pipe";
    stalls = "path stalled";
    blackouts = "blackout";
    addresses = "address changed";
    switches = "transport switched";
    pauses = "reader paused";
    slow_readers = "slow reader closed";
    refusals = "dial refused";
    forgets = "client without memory";
    early = "resume in early data";
    early_refused = "early data not taken";
    replays = "early data replayed";
    give_ups = "lane given up";
    full = "lane full";
    resizes = "max_datagram changed";
    lost = "datagram lost";
    lost_on_the_way = "datagram in a blackout";
    corrupted = "datagram corrupted";
    too_large = "datagram too large";
    unread = "datagram never read";
    doubled = "datagram doubled";
    reordered = "datagram reordered";
}
