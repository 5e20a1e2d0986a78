//! Ids survive their text.

use super::*;
use crate::Seed;

#[test]
fn ids_survive_their_text() {
    let mut rng = Seed(3).rng();
    for i in 0..1_000 {
        let id = MatchId::generate(Micros::from_secs(1_763_000_000 + i), &mut rng);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    assert_eq!(MatchId::from_bits(u128::MAX).to_string().parse(), Ok(MatchId::from_bits(u128::MAX)));
}

#[test]
fn wrong_texts_say_what_is_wrong() {
    assert_eq!("usr_00000000000000000000000000".parse::<MatchId>(), Err(IdError::Prefix("mch")));
    assert_eq!("mch_0000".parse::<MatchId>(), Err(IdError::Digits));
    assert_eq!("mch_z0000000000000000000000000".parse::<MatchId>(), Err(IdError::Digits));
    assert_eq!("mch_0000000000000000000000000U".parse::<MatchId>(), Err(IdError::Digits));
    assert_eq!("Shop".parse::<AppId>(), Err(IdError::App));
    assert_eq!("".parse::<AppId>(), Ok(AppId::default()));
}
