use super::*;

fn measured(list: &[(&str, u32)]) -> Vec<Latency> {
    list.iter().map(|(region, ms)| Latency { region: (*region).to_owned(), ms: *ms }).collect()
}

#[test]
fn a_shared_region_is_one_that_both_reach_in_time() {
    let (eu, both) = (measured(&[("eu", 20)]), measured(&[("eu", 90), ("us", 30)]));
    assert!(!share_region(&eu, &both, 80));
    assert!(share_region(&eu, &both, 90));
    assert!(share_region(&eu, &[], 1), "who measured nothing goes anywhere");
    assert!(!share_region(&eu, &measured(&[("us", 1)]), 1_000));
}

#[test]
fn the_best_region_has_the_lowest_worst_latency() {
    let (a, b) = (measured(&[("eu", 20), ("us", 70)]), measured(&[("eu", 90), ("us", 60)]));
    assert_eq!(best_region([a.as_slice(), b.as_slice(), &[]].into_iter()), "us");
    assert_eq!(best_region([a.as_slice(), &measured(&[("ap", 1)])].into_iter()), "");
    assert_eq!(best_region([[].as_slice()].into_iter()), "");
}
