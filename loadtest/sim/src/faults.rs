//! Kinds of faults and how often each happened.

macro_rules! faults {
    ($($field:ident = $name:literal;)*) => {
        /// How often each kind of fault happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Faults {
            $(#[doc = $name] pub(crate) $field: u64,)*
        }

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
    handshake_breaks = "broken in handshake";
    half_open = "half-open pipe";
    stalls = "pipe stalled";
    switches = "transport switched";
    refusals = "dial refused";
    forgets = "client without memory";
    give_ups = "lane given up";
    full = "lane full";
    lost = "datagram lost";
    doubled = "datagram doubled";
    reordered = "datagram reordered";
}
