//! Gives a connection with many channels its turn: what waits is written, what has come is taken, stream by stream.

use super::{News, Received};
use crate::channel::Channel;
use crate::connection::Connection;
use crate::host::Host;
use crate::reading::{OWN_BYTES, ReadBuffer, TURN_FRAMES, Turn};
use bytes::BytesMut;
use polypeer_engine::{BadFrame, ChannelEnd, ChannelId, ConnectionId, DisconnectCause, P2pAction, Protocol};
use std::task::{Context, Poll};

impl<P: Protocol> Host<P> {
    /// One turn of a connection whose transport has many streams.
    pub(crate) fn muxed_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.polled(cx);
        let is_paused = connection.is_heard() && self.asks.must_wait(connection.asks);
        if is_paused && !self.paused.contains(&id) {
            self.paused.push(id);
        }
        let Some(muxer) = connection.stream.muxer() else { return };
        muxer.begin_turn(cx, self.now.monotonic, is_paused);
        muxer.expire();
        connection.is_blocked = muxer.is_blocked();
        self.flush(id);
        self.tell_writable(id);
        self.go_on_ending(id);
        let ending = self.connections.get(&id).and_then(|connection| connection.ending);
        if ending.is_some_and(|ending| ending.is_shut) {
            // Behind our goodbye nobody listens to streams.
            if self.read_turn(id, cx) == Turn::GoesOn {
                cx.waker().wake_by_ref();
            }
            return;
        }
        self.take_turn(id, cx, is_paused);
        // What was read moved windows.
        self.flush(id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.stream.end_turn(cx) {
            return self.over(id, true);
        }
        self.charge(id);
    }

    fn tell_writable(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_closed_by_us()) else {
            return;
        };
        let due = connection.channels.iter_mut().filter(|(_, channel)| channel.is_writable_due);
        let due: Vec<ChannelId> = due
            .map(|(id, channel)| {
                channel.is_writable_due = false;
                channel.sent_since_writable = 0;
                *id
            })
            .collect();
        for channel in due {
            self.step(P2pAction::Writable { connection: id, channel });
            self.apply();
        }
    }

    // Takes what has come, until there is no more or the others have their turn.
    fn take_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>, is_paused: bool) {
        let mut frames_left = TURN_FRAMES;
        let Some(connection) = self.connections.get(&id) else { return };
        let uncut = connection.channels.iter().filter(|(_, channel)| channel.has_uncut);
        let mut touched: Vec<ChannelId> = uncut.map(|(id, _)| *id).collect();
        loop {
            self.take_news(id);
            let Some(connection) = self.connections.get_mut(&id) else { return };
            let Some(muxer) = connection.stream.muxer() else { return };
            muxer.take_touched(&mut touched);
            for channel in touched.drain(..) {
                if is_paused || frames_left == 0 {
                    self.put_off(id, channel);
                } else {
                    self.read_channel(id, channel, &mut frames_left);
                }
            }
            if frames_left == 0 {
                cx.waker().wake_by_ref();
                return;
            }
            let Some(connection) = self.connections.get_mut(&id) else { return };
            let Some(muxer) = connection.stream.muxer() else { return };
            if muxer.is_over() {
                return self.over(id, false);
            }
            match muxer.poll_take(cx) {
                Poll::Pending => return self.take_news(id),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.broken_off(id, DisconnectCause::Broken),
            }
        }
    }

    fn put_off(&mut self, id: ConnectionId, channel: ChannelId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.leave_uncut(channel);
        }
    }

    // Streams that were agreed on become channels, and those that came to nothing are told of.
    fn take_news(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(muxer) = connection.stream.muxer() else { return };
        for news in muxer.take_news() {
            match news {
                News::Opened { channel, kind, opener, stream, rest } => {
                    let framer = P::framer(self.config(), kind, opener);
                    let Some(connection) = self.connections.get_mut(&id) else { return };
                    connection.received(rest.len(), self.now);
                    connection.channels.insert(channel, Box::new(Channel::new(stream, opener, framer, rest)));
                    self.tell(id, P2pAction::ChannelOpened { connection: id, channel, kind, opener });
                }
                News::Closed { channel, end } => {
                    self.tell(id, P2pAction::ChannelClosed { connection: id, channel, end });
                }
            }
        }
    }

    // Tells the engine something of a connection, unless it does not listen to it any more.
    fn tell(&mut self, id: ConnectionId, action: P2pAction<P::Answer>) {
        if self.connections.get(&id).is_some_and(|connection| connection.is_heard()) {
            self.step(action);
            self.apply();
        }
    }

    fn read_channel(&mut self, id: ConnectionId, channel: ChannelId, frames_left: &mut u32) {
        let Some(entry) = self.connections.get_mut(&id).and_then(|it| it.channels.get_mut(&channel)) else { return };
        let partial = std::mem::take(&mut entry.partial);
        let mut buffer = if partial.len() > OWN_BYTES {
            ReadBuffer::own(partial)
        } else {
            let mut buffer = self.shared_buffer(id);
            buffer.bytes.extend_from_slice(&partial);
            buffer
        };
        let before = *frames_left;
        self.reading = Some(id);
        let end = self.read_into_channel(id, channel, &mut buffer, frames_left);
        self.reading = None;
        self.put_channel_away(id, channel, buffer, *frames_left < before);
        match end {
            Some(ChannelEnd::Finished) => self.channel_finished(id, channel),
            Some(end) => self.channel_reset(id, channel, end),
            None => {}
        }
    }

    // How the channel ended, if all that came on it was taken and it did.
    fn read_into_channel(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
        buffer: &mut ReadBuffer,
        frames_left: &mut u32,
    ) -> Option<ChannelEnd> {
        let connection = self.connections.get_mut(&id)?;
        let entry = connection.channels.get_mut(&channel)?;
        let muxer = connection.stream.muxer()?;
        entry.has_uncut = false;
        let before = buffer.bytes.len();
        let end = loop {
            match entry.stream.receive(muxer) {
                Received::Some(packet) => buffer.bytes.extend_from_slice(packet.as_ref()),
                Received::Nothing => break None,
                Received::Finished => break Some(ChannelEnd::Finished),
                Received::Reset => break Some(ChannelEnd::Reset),
            }
        };
        let came = buffer.bytes.len() - before;
        muxer.was_payload(came);
        if came > 0 {
            connection.received(came, self.now);
        }
        match self.cut_all(id, channel, &mut buffer.bytes, frames_left) {
            // There is more: the end is seen again when it is cut.
            Some(_) => None,
            None => end,
        }
    }

    // Leaves the channel with no more than it needs, and the shared buffer to the next one.
    fn put_channel_away(&mut self, id: ConnectionId, channel: ChannelId, mut buffer: ReadBuffer, has_cut: bool) {
        let held = buffer.bytes.len();
        if let Some(connection) = self.connections.get_mut(&id) {
            if connection.hears(channel)
                && let Some(entry) = connection.channels.get_mut(&channel)
            {
                let is_kept = buffer.is_own && held > OWN_BYTES;
                entry.partial =
                    if is_kept { std::mem::take(&mut buffer.bytes) } else { BytesMut::from(&buffer.bytes[..]) };
                entry.partial_since = match entry.partial_since {
                    Some(since) if entry.partial_bytes() > 0 && !has_cut => Some(since),
                    _ => (entry.partial_bytes() > 0).then_some(self.now.monotonic),
                };
            } else {
                connection.discarded(held);
            }
            self.partials.note_channels(id, connection);
        } else {
            self.gone.bytes_discarded += held as u64;
        }
        self.give_back(buffer);
    }

    fn channel_finished(&mut self, id: ConnectionId, channel: ChannelId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(entry) = connection.channels.get_mut(&channel) else { return };
        if std::mem::replace(&mut entry.is_finished, true) {
            return;
        }
        // What was begun never becomes whole.
        let bytes = entry.discard_partial();
        connection.discarded(bytes);
        self.partials.note_channels(id, connection);
        let end = ChannelEnd::Finished;
        self.tell(id, P2pAction::ChannelClosed { connection: id, channel, end });
        self.sweep(id);
    }

    fn channel_reset(&mut self, id: ConnectionId, channel: ChannelId, end: ChannelEnd) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.stream.muxer().is_none_or(|muxer| muxer.is_over()) {
            // The connection's end says it.
            return;
        }
        self.drop_channel(id, channel);
        self.tell(id, P2pAction::ChannelClosed { connection: id, channel, end });
    }

    /// Takes a channel away, with all that waits on it.
    pub(crate) fn drop_channel(&mut self, id: ConnectionId, channel: ChannelId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(mut entry) = connection.remove_channel(channel) else { return };
        self.partials.note_channels(id, connection);
        let mut unread = 0;
        if let Some(muxer) = connection.stream.muxer() {
            while let Received::Some(packet) = entry.stream.receive(muxer) {
                unread += packet.as_ref().len();
            }
            muxer.closed(entry.stream, entry.opener);
        }
        connection.received(unread, self.now);
        connection.discarded(unread);
        self.mark_dirty(id);
    }

    /// Takes away channels on which both ends have said their last.
    pub(crate) fn sweep(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let over = connection.channels.iter().filter(|(_, channel)| channel.is_over()).map(|(id, _)| *id);
        for channel in over.collect::<Vec<_>>() {
            self.drop_channel(id, channel);
        }
    }

    /// The engine wants a channel.
    pub(crate) fn open_channel(&mut self, id: ConnectionId, channel: ChannelId, kind: u16) {
        let connection = self.connections.get_mut(&id).filter(|connection| connection.is_heard());
        let muxer = connection.and_then(|connection| connection.stream.muxer());
        if muxer.is_some_and(|muxer| muxer.open(channel, kind, self.now.monotonic)) {
            return self.mark_dirty(id);
        }
        // TCP has one channel and it is open from the start.
        let end = ChannelEnd::Refused;
        self.pending.push_back(P2pAction::ChannelClosed { connection: id, channel, end });
    }

    /// The engine writes no more on a channel.
    pub(crate) fn finish_channel(&mut self, id: ConnectionId, channel: ChannelId) {
        let connection = self.connections.get_mut(&id);
        let Some(entry) = connection.and_then(|connection| connection.channels.get_mut(&channel)) else { return };
        entry.is_finishing = true;
        self.mark_dirty(id);
    }

    /// The engine breaks a channel off.
    pub(crate) fn reset_channel(&mut self, id: ConnectionId, channel: ChannelId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.stream.muxer().is_some_and(|muxer| muxer.give_up(channel)) {
            return self.mark_dirty(id);
        }
        self.drop_channel(id, channel);
    }

    // Nothing more comes: why the connection ends, or what the peer gets for it.
    fn over(&mut self, id: ConnectionId, is_noisy: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(muxer) = connection.stream.muxer() else { return };
        if !is_noisy && !muxer.is_at_fault() {
            let cause = if muxer.is_orderly() { DisconnectCause::Theirs } else { DisconnectCause::Broken };
            return self.broken_off(id, cause);
        }
        self.refused(id, ChannelId::ONLY, BadFrame::of_host(BadFrame::OF_TRANSPORT));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // Nobody waits for what such a peer still says.
        connection.is_finished = true;
        self.broken_off(id, DisconnectCause::Broken);
    }

    fn broken_off(&mut self, id: ConnectionId, cause: DisconnectCause) {
        let ending = self.connections.get(&id).and_then(|connection| connection.ending);
        self.end(id, ending.map_or(cause, |ending| ending.cause));
    }
}

impl<F: polypeer_engine::Framer> Connection<F> {
    /// Notes which channels the engine is owed the word that they are writable again. Whether there are any.
    pub(crate) fn note_writable(&mut self, low_water: usize) -> bool {
        let mut is_owed = false;
        for channel in self.channels.values_mut().filter(|channel| channel.owes_writable(low_water)) {
            channel.is_writable_due = true;
            is_owed = true;
        }
        is_owed
    }
}
