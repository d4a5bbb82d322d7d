//! Datagrams that the system dropped because nobody had read those before: what no other counter can see.
//!
//! The kernel counts them for each socket and shows them in `/proc/net/udp`, in the row of the socket's inode. A system
//! without that file has no such counter, and the metric is not there: nothing is never said for zero.

use std::fs;
use std::net::UdpSocket;

use metrics::counter;

/// Where the kernel lists UDP sockets, by family.
const LISTS: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
/// The column of the inode (proc_pid_net(5)); the drops are in the last one.
const INODE: usize = 9;

/// The drops of one socket.
pub struct Drops {
    inode: Option<u64>,
}

impl Drops {
    /// Of this socket.
    #[must_use]
    pub fn of(socket: &UdpSocket) -> Self {
        Self { inode: rustix::fs::fstat(socket).ok().map(|status| status.st_ino) }
    }

    /// Reads and exports them. Blocks for as long as the kernel takes to list its sockets.
    #[must_use]
    pub fn measured(self) -> Self {
        if let Some(drops) = self.read() {
            counter!("gateway_socket_drops_total").absolute(drops);
        }
        self
    }

    fn read(&self) -> Option<u64> {
        let inode = self.inode?;
        LISTS.iter().find_map(|list| drops_of(inode, &fs::read_to_string(list).ok()?))
    }
}

/// The drops in the row of the socket with this inode.
fn drops_of(inode: u64, list: &str) -> Option<u64> {
    list.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(INODE);
        let own = columns.next()?.parse() == Ok(inode);
        if own { columns.last()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_row_of_the_inode() {
        let list = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             103: 0100007F:1151 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 17\n\
             104: 0100007F:1152 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4243 2 0000000000000000 0\n";
        assert_eq!(drops_of(4242, list), Some(17));
        assert_eq!(drops_of(4243, list), Some(0));
        assert_eq!(drops_of(4244, list), None);
        assert_eq!(drops_of(17, list), None, "only inodes count");
    }

    #[test]
    fn a_socket_has_an_inode_to_look_for() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(Drops::of(&socket).inode.is_some());
    }
}
