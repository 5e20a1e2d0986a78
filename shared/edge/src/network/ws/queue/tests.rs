//! Order, blocking, and what a reader that has fallen behind still gets.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use amphi_shared_wire::decode_pipe_frame;
use mio::{Poll, Token};

use super::*;
use crate::counters::Counters;
use crate::network::{ConnId, Mailbox};

const NOW: Micros = Micros(1);

/// A socket, its other end, and an outlet.
fn pair() -> (Socket, TcpStream, Outlet) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let mailbox = Mailbox::new(Poll::new().unwrap().registry(), Token(0)).unwrap();
    let outlet = Outlet::new(ConnId { slot: 0, life: 1 }, mailbox.into(), Counters::new());
    (Socket::new(server, None).unwrap(), client, outlet)
}

/// Lane and length of every frame up to the first control frame.
fn read_frames(client: &mut TcpStream) -> Vec<(Lane, usize)> {
    let mut frames = Vec::new();
    loop {
        let mut start = [0; 2];
        client.read_exact(&mut start).unwrap();
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                client.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        client.read_exact(&mut payload).unwrap();
        if start[0] & 8 != 0 {
            return frames;
        }
        let (lane, payload) = decode_pipe_frame(payload.into()).unwrap();
        frames.push((lane, payload.len()));
    }
}

/// Fills the socket until it has no room; the number of frames that went into the queue.
fn fill(queue: &mut Queue, socket: &mut Socket, outlet: &Outlet) -> usize {
    for pushed in 1.. {
        assert!(outlet.claim(1, 30_000).unwrap());
        queue.push_frame(NOW, 2, vec![1; 30_000].into());
        if queue.write(socket, outlet).unwrap() == Written::Blocked {
            return pushed;
        }
    }
    unreachable!("a socket takes only so much");
}

#[test]
fn what_waits_leaves_in_order_when_there_is_room() {
    let (mut socket, mut client, outlet) = pair();
    let mut queue = Queue::default();
    let frames = fill(&mut queue, &mut socket, &outlet);
    for length in 0..100 {
        assert!(outlet.claim(1, length).unwrap());
        queue.push_frame(NOW, 1, vec![1; length].into());
    }
    // Of datagrams the newest four are kept.
    let kept: Vec<bool> = (0..6).map(|length| queue.push_datagram(NOW, vec![1; length].into())).collect();
    assert_eq!(kept, [true, true, true, true, false, false]);
    queue.push_control(NOW, Opcode::Close, Bytes::new());
    let reader = std::thread::spawn(move || read_frames(&mut client));
    while queue.write(&mut socket, &outlet).unwrap() == Written::Blocked {
        std::thread::yield_now();
    }
    let small = (0..100).map(|length| (1, length)).chain([(63, 2), (63, 3), (63, 4), (63, 5)]);
    let expected: Vec<_> = std::iter::repeat_n((2, 30_000), frames).chain(small).collect();
    assert_eq!(reader.join().unwrap(), expected);
    assert_eq!((outlet.queued_bytes(), queue.items.capacity()), (0, 0));
}

#[test]
fn what_a_group_could_not_write_follows_it() {
    let (mut socket, mut client, outlet) = pair();
    let payloads: Vec<Bytes> = (0..30).map(|n| vec![1; 30_000 + n].into()).collect();
    let bytes: usize = payloads.iter().map(Bytes::len).sum();
    assert!(outlet.claim(payloads.len(), bytes).unwrap());
    let group = Group::new(Some(2), &payloads);
    let written = group.write(&mut socket, &outlet).unwrap();
    assert!(written > 30_000 && !group.is_whole(written));
    let mut queue = Queue::default();
    queue.push_rest(NOW, &group, written, &outlet);
    assert!(outlet.queued_bytes() < bytes, "whole messages have left");
    let small = [Bytes::from_static(b"a"), Bytes::from_static(b"bc")];
    for payload in &small {
        assert!(outlet.claim(1, payload.len()).unwrap());
        queue.push_frame(NOW, 1, payload.clone());
    }
    queue.push_control(NOW, Opcode::Close, Bytes::new());
    let reader = std::thread::spawn(move || read_frames(&mut client));
    while queue.write(&mut socket, &outlet).unwrap() == Written::Blocked {
        std::thread::yield_now();
    }
    let expected: Vec<_> = (0..30).map(|n| (2, 30_000 + n)).chain([(1, 1), (1, 2)]).collect();
    assert_eq!(reader.join().unwrap(), expected);
    assert_eq!(outlet.queued_bytes(), 0);
}

#[test]
fn a_message_that_has_begun_is_finished_after_a_clear() {
    let (mut socket, mut client, outlet) = pair();
    let mut queue = Queue::default();
    let frames = fill(&mut queue, &mut socket, &outlet);
    queue.push_datagram(NOW, Bytes::from_static(b"never"));
    let begun = queue.written > 0;
    let waiting = queue.items.iter().filter(|item| item.kind == Kind::Frame(2)).count();
    queue.clear();
    queue.push_control(NOW, Opcode::Close, Bytes::new());
    queue.push_control(NOW, Opcode::Close, Bytes::new());
    let reader = std::thread::spawn(move || read_frames(&mut client));
    while queue.write(&mut socket, &outlet).unwrap() == Written::Blocked {
        std::thread::yield_now();
    }
    assert_eq!(reader.join().unwrap().len(), frames - waiting + usize::from(begun));
}

#[test]
fn who_asks_for_the_time_and_does_not_read_gets_few_answers() {
    let (mut socket, mut client, outlet) = pair();
    let mut queue = Queue::default();
    (0..100).for_each(|_| queue.push_answer(NOW, Bytes::from_static(b"now")));
    assert_eq!(queue.write(&mut socket, &outlet).unwrap(), Written::All);
    // One alone leaves in one piece, and so does what ends the connection.
    queue.push_answer(NOW, Bytes::from_static(b"later"));
    assert_eq!(queue.write(&mut socket, &outlet).unwrap(), Written::All);
    queue.push_control(NOW, Opcode::Close, Bytes::new());
    assert_eq!(queue.write(&mut socket, &outlet).unwrap(), Written::All);
    assert_eq!(read_frames(&mut client), [(0, 3), (0, 3), (0, 3), (0, 3), (0, 5)]);
    assert_eq!(outlet.queued_bytes(), 0);
}
