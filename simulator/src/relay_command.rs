//! `simulator relay`: a network between real sockets, until Ctrl-C or for so long, and what it did to everything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use simulator::Seed;
use simulator::network::Network;
use simulator::relay::{TcpRelay, UdpRelay};

use crate::Failure;

/// What `simulator relay` is told.
#[derive(Args)]
pub(crate) struct RelayArguments {
    /// 4g, crowded-cell, edge, rural-2g, udp-blocked, cgnat, or the path of a network file.
    #[arg(long, value_name = "NAME|FILE", visible_alias = "profile")]
    network: String,
    /// Where datagrams go.
    #[arg(long, value_name = "IP:PORT", required_unless_present = "tcp")]
    udp: Option<SocketAddr>,
    /// Where connections go.
    #[arg(long, value_name = "IP:PORT")]
    tcp: Option<SocketAddr>,
    /// Where phones send; datagrams and connections come to one number of a port. Port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))]
    listen: SocketAddr,
    /// Names what happens: the same seed has the same fates for the same packets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
}

/// Relays; says at once where it listens, and returns what there is to say at the end.
pub(crate) fn relay(arguments: &RelayArguments) -> Result<String, Failure> {
    let network = Network::load(&arguments.network).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::machine)?.block_on(run(arguments, &network))
}

async fn run(arguments: &RelayArguments, network: &Network) -> Result<String, Failure> {
    let seed = Seed(arguments.seed);
    let mut listen = arguments.listen;
    let udp = match arguments.udp {
        Some(upstream) => {
            let opened = UdpRelay::open_at(listen, upstream, network, seed).await;
            let relay = opened.map_err(Failure::machine)?;
            println!("udp {} -> {upstream}", relay.addr());
            listen = relay.addr();
            Some(relay)
        }
        None => None,
    };
    let tcp = match arguments.tcp {
        Some(upstream) => {
            let opened = TcpRelay::open_at(listen, upstream, network, seed).await;
            let relay = opened.map_err(Failure::machine)?;
            println!("tcp {} -> {upstream}", relay.addr());
            Some(relay)
        }
        None => None,
    };
    let interrupted = tokio::signal::ctrl_c();
    match arguments.lasts {
        Some(lasts) => tokio::select! {
            () = tokio::time::sleep(lasts) => {}
            asked = interrupted => asked.map_err(Failure::machine)?,
        },
        None => interrupted.await.map_err(Failure::machine)?,
    }
    let counts = json!({
        "network": network.name(),
        "seed": arguments.seed,
        "udp": udp.map(UdpRelay::stop),
        "tcp": tcp.map(TcpRelay::stop),
    });
    let text = serde_json::to_string_pretty(&counts).map_err(Failure::machine)?;
    Ok(format!("{text}\n"))
}
