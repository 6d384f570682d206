//! Calls yamux by the name that Mina has for it, for which the library has no setting.

use crate::client::line::MUXER;
use futures_util::io::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::yamux::Config;

/// Stock yamux under Mina's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodaYamux(Config);

impl UpgradeInfo for CodaYamux {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(MUXER)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<S> for CodaYamux {
    type Output = <Config as InboundConnectionUpgrade<S>>::Output;
    type Error = <Config as InboundConnectionUpgrade<S>>::Error;
    type Future = <Config as InboundConnectionUpgrade<S>>::Future;

    fn upgrade_inbound(self, socket: S, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(socket, info)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<S> for CodaYamux {
    type Output = <Config as OutboundConnectionUpgrade<S>>::Output;
    type Error = <Config as OutboundConnectionUpgrade<S>>::Error;
    type Future = <Config as OutboundConnectionUpgrade<S>>::Future;

    fn upgrade_outbound(self, socket: S, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(socket, info)
    }
}
