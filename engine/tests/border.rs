//! Shows each of the border's rules bite, on effects that no engine gave.

use bytes::Bytes;
use polypeer_engine::{
    Address, BadFrame, Border, BorderFault, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect,
    Overflow, P2pAction, Ticket, Told,
};

#[test]
fn each_rule_of_the_border_bites() {
    let (dial, other) = (ConnectionId::nth(Direction::Outbound, 3), ConnectionId::nth(Direction::Inbound, 3));
    let address = Address::new([10, 1, 1, 1].into(), 1);
    let send = |connection, frame: &'static [u8]| {
        let (frame, channel) = (Bytes::from_static(frame), ChannelId::ONLY);
        Effect::<u8>::Send { connection, channel, frame, overflow: Overflow::Drop }
    };
    let close = |connection| Effect::<u8>::Close { connection, how: Close::Now };
    let ask = |ticket| Effect::Ask { ticket: Ticket(ticket), request: 0u8 };
    let dials = |connection| Effect::Dial { connection, address };
    // What stands, what an engine wants, and the rule that it breaks.
    for (effects, fault) in [
        (vec![dials(dial), send(other, b"x"), close(other), ask(1), ask(2)], None),
        (vec![dials(other)], Some(BorderFault::Dial(other))),
        (vec![dials(dial), dials(dial)], Some(BorderFault::Dial(dial))),
        (vec![send(dial, b"x")], Some(BorderFault::NotOpen(dial))),
        (vec![close(other), send(other, b"x")], Some(BorderFault::NotOpen(other))),
        (vec![close(other), close(other)], Some(BorderFault::Closed(other))),
        (vec![send(other, b"")], Some(BorderFault::EmptyFrame(other))),
        (vec![ask(2), ask(2)], Some(BorderFault::Ticket(Ticket(2)))),
    ] {
        let mut border = Border::default();
        border.told(Told::Stands(other));
        assert_eq!(border.judge(&effects).err(), fault, "{effects:?}");
    }
    let mut border = Border::default();
    border.told(Told::Stands(other));
    let bad = BadFrame::of_host(BadFrame::TOO_SLOW);
    let action = P2pAction::<u8>::BadFrame { connection: other, channel: ChannelId::ONLY, bad };
    assert_eq!(border.stepped(&action, &[ask(1)]), Err(BorderFault::LeftUnreadable(other)));
    assert_eq!(border.stepped(&action, &[close(other)]), Ok(()));
    let gone = P2pAction::<u8>::Disconnected { connection: other, cause: DisconnectCause::Ours };
    assert_eq!(border.stepped(&gone, &[send(other, b"x")]), Err(BorderFault::NotOpen(other)));
}
