use super::*;

/// Long enough for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn network(seed: u64) -> (watch::Sender<Weather>, Network) {
    let (sky, weather) = watch::channel(Weather::default());
    (sky, Network { weather, faults: Arc::default(), seed: Seed(seed) })
}

async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for too long")
}

/// Which of 200 datagrams pass under 30 % loss.
async fn passed(seed: u64) -> Vec<u8> {
    let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (sky, network) = network(seed);
    sky.send_replace(Weather { loss_permille: 300, ..Weather::default() });
    let shaper = network.in_front_of(target.local_addr().unwrap()).await.unwrap();
    let client = towards(shaper.address).await.unwrap();
    let mut passed = Vec::new();
    for number in 0..200 {
        let before = network.faults.lost.load(Ordering::Relaxed);
        client.send(&[number]).await.unwrap();
        let mut byte = [0];
        let lost = async {
            while network.faults.lost.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
        };
        patient(async {
            tokio::select! {
                arrived = target.recv(&mut byte) => {
                    arrived.unwrap();
                    passed.push(byte[0]);
                }
                () = lost => {}
            }
        })
        .await;
    }
    passed
}

#[tokio::test]
async fn a_seed_loses_the_same_datagrams() {
    let (one, again, other) = (passed(1).await, passed(1).await, passed(2).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!((100..180).contains(&one.len()), "{} of 200 passed", one.len());
}

#[tokio::test]
async fn a_stream_waits_out_a_dead_network_and_stays_whole() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sky, network) = network(3);
    sky.send_replace(Weather { delay_ms: 2, jitter_ms: 2, loss_permille: 20, ..Weather::default() });
    let shaper = network.in_front_of(target.local_addr().unwrap()).await.unwrap();
    let mut client = TcpStream::connect(shaper.address).await.unwrap();
    let (mut server, _) = patient(target.accept()).await.unwrap();
    let sent: Vec<u8> = (0..20_000_u32).map(|byte| byte as u8).collect();
    client.write_all(&sent[..10_000]).await.unwrap();
    let mut got = vec![0; 10_000];
    patient(server.read_exact(&mut got)).await.unwrap();
    sky.send_modify(|weather| weather.dead = true);
    client.write_all(&sent[10_000..]).await.unwrap();
    let mut rest = vec![0; 10_000];
    let silent = tokio::time::timeout(Duration::from_millis(100), server.read(&mut rest)).await;
    assert!(silent.is_err(), "nothing passes a dead network");
    sky.send_modify(|weather| weather.dead = false);
    patient(server.read_exact(&mut rest)).await.unwrap();
    assert_eq!([got, rest].concat(), sent);
    drop(client);
    assert_eq!(patient(server.read(&mut [0])).await.unwrap(), 0, "the end arrives too");
}

#[tokio::test]
async fn what_began_on_another_path_is_dead_and_hears_nothing_of_it() {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (sky, network) = network(4);
    let shaper = network.in_front_of(udp.local_addr().unwrap()).await.unwrap();
    let (old, new) = (towards(shaper.address).await.unwrap(), towards(shaper.address).await.unwrap());
    let mut byte = [0];
    old.send(&[1]).await.unwrap();
    patient(udp.recv(&mut byte)).await.unwrap();
    sky.send_modify(|weather| weather.path = 1);
    old.send(&[2]).await.unwrap();
    new.send(&[3]).await.unwrap();
    let (_, peer) = patient(udp.recv_from(&mut byte)).await.unwrap();
    assert_eq!(byte, [3]);
    udp.send_to(&[4], peer).await.unwrap();
    patient(new.recv(&mut byte)).await.unwrap();
    assert_eq!((byte, network.faults.lost.load(Ordering::Relaxed)), ([4], 1));

    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shaper = network.in_front_of(tcp.local_addr().unwrap()).await.unwrap();
    let mut old = TcpStream::connect(shaper.address).await.unwrap();
    let (mut far, _) = patient(tcp.accept()).await.unwrap();
    sky.send_modify(|weather| weather.path = 2);
    far.write_all(&[5]).await.unwrap();
    let mut new = TcpStream::connect(shaper.address).await.unwrap();
    patient(tcp.accept()).await.unwrap().0.write_all(&[6]).await.unwrap();
    patient(new.read_exact(&mut byte)).await.unwrap();
    assert_eq!(byte, [6]);
    assert!(tokio::time::timeout(Duration::from_millis(100), old.read(&mut byte)).await.is_err(), "it stays silent");
}
