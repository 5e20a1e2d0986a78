//! The way out.

use amphi_shared_wire::{Code, Micros};
use amphi_streaming_node::LiveConfig;

use crate::client::{Client, Heard};
use crate::house::House;

#[tokio::test]
async fn a_draining_node_tells_everyone_and_ends() {
    let house = House::open_with(LiveConfig { drain: Micros::from_millis(400), ..LiveConfig::default() }).await;
    let token = house.guest_token("Late").await;
    let mut people = Vec::new();
    for name in ["Ada", "Bob", "Cleo", "Dora"] {
        people.push(house.guest(name).await);
    }
    house.shutdown.trigger();
    // The first goodbye says that the shard has heard of it.
    assert_eq!(people.remove(0).closed().await, Code::Draining);
    let mut late = Client::dial(house.address, &token).await;
    let Heard::Refused { code, retry_after_ms } = late.next().await else { panic!("a draining node takes nobody") };
    assert_eq!(code, Code::Draining);
    assert!(retry_after_ms >= 500);
    for mut person in people {
        assert_eq!(person.closed().await, Code::Draining);
    }
    assert!(house.live.finished().await);
    let after = house.publish_view("match:mch_1:view:0", [(1, vec![1])]).await;
    assert_eq!(after.map_err(|failure| failure.code()), Err(Code::Draining));
}

#[tokio::test]
async fn a_full_node_says_when_to_come_back() {
    let house = House::open_with(LiveConfig { sessions_max: 1, ..LiveConfig::default() }).await;
    let _first = house.guest("Ada").await;
    let mut second = Client::dial(house.address, &house.guest_token("Bob").await).await;
    let Heard::Refused { code, retry_after_ms } = second.next().await else { panic!("there was no room") };
    assert_eq!(code, Code::Overloaded);
    assert!(retry_after_ms >= 500);
}
