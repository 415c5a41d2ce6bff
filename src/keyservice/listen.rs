//! Where a key service listens (keyservice.md §3.1). Errors are in the reference's words.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};
use rustix::process::umask;
use socket2::{Domain, Protocol, Socket, Type};

use crate::os_error::os_text;

/// Requests that wait while others are accepted.
const BACKLOG: i32 = 1024;

/// A place where clients can connect.
#[derive(Debug)]
pub enum Listener {
    /// Over the network.
    Tcp(TcpListener),
    /// A socket file, which the owner alone may use.
    Unix(UnixListener),
}

/// Why one cannot listen. Displays the reference's wording.
#[derive(Debug)]
pub enum ListenError {
    /// The network is none that we know.
    UnknownNetwork(String),
    /// The address is none of this network: why.
    Address {
        /// `tcp`, `tcp4` or `tcp6`.
        network: String,
        /// In the reference's words.
        reason: String,
    },
    /// Something stands where the socket would: what it is.
    Occupied {
        /// Where.
        path: PathBuf,
        /// What stands there.
        by: Occupant,
    },
    /// The system refuses.
    Refused {
        /// The network.
        network: String,
        /// The address, as far as it is known.
        address: String,
        /// Why.
        error: io::Error,
    },
}

/// What stands in the way of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// A server that answers.
    Server,
    /// A socket that a server has left behind.
    Remains,
    /// Something else.
    File,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownNetwork(network) => write!(f, "listen {network}: unknown network {network}"),
            Self::Address { network, reason } => write!(f, "listen {network}: {reason}"),
            Self::Occupied { path, .. } => {
                write!(f, "listen unix {}: bind: address already in use", path.display())
            }
            Self::Refused { network, address, error } => {
                write!(f, "listen {network} {address}: bind: {}", os_text(error))
            }
        }
    }
}

impl std::error::Error for ListenError {}

impl ListenError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownNetwork(_) => "the networks are tcp, tcp4, tcp6 and unix".to_owned(),
            Self::Address { .. } => "an address is HOST:PORT, as in 127.0.0.1:5000".to_owned(),
            Self::Occupied { path, by: Occupant::Remains } => {
                format!("no server listens there any more; `rm {}` makes room", path.display())
            }
            Self::Occupied { by: Occupant::Server, .. } => "another server listens there".to_owned(),
            Self::Occupied { by: Occupant::File, .. } => {
                "a file of that name exists, and is no socket".to_owned()
            }
            Self::Refused { network, error, .. } => match error.kind() {
                io::ErrorKind::AddrInUse if network != "unix" => {
                    "another program listens there; --address names another port".to_owned()
                }
                io::ErrorKind::PermissionDenied if network != "unix" => {
                    "ports below 1024 are for the administrator".to_owned()
                }
                _ => return None,
            },
        })
    }
}

impl Listener {
    /// Listens on `network` (`tcp`, `tcp4`, `tcp6` or `unix`) at `address` (`host:port`, or the path of a socket).
    pub fn bind(network: &str, address: &str) -> Result<Self, ListenError> {
        match network {
            "tcp" | "tcp4" | "tcp6" => listen_tcp(network, address).map(Self::Tcp),
            "unix" => listen_unix(Path::new(address)).map(Self::Unix),
            other => Err(ListenError::UnknownNetwork(other.to_owned())),
        }
    }

    /// The address with the port that was given, if any would do.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// The socket is never open to others, not even for a moment: connecting takes the right to write.
fn listen_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let others = Mode::RWXG | Mode::RWXO | Mode::XUSR;
    let before = umask(others);
    let bound = UnixListener::bind(path);
    umask(before);
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::Occupied { path: path.to_owned(), by: occupant(path) },
        _ => ListenError::Refused { network: "unix".to_owned(), address: path.display().to_string(), error },
    })
}

fn occupant(path: &Path) -> Occupant {
    let is_socket = rustix::fs::lstat(path)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Socket);
    match UnixStream::connect(path) {
        _ if !is_socket => Occupant::File,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Occupant::Remains,
        _ => Occupant::Server,
    }
}

fn listen_tcp(network: &str, address: &str) -> Result<TcpListener, ListenError> {
    let wrong = |reason: String| ListenError::Address { network: network.to_owned(), reason };
    let (host, port) = split(address).map_err(wrong)?;
    let place = resolve(network, host, port)?;
    open(network, host, place).map_err(|error| ListenError::Refused {
        network: network.to_owned(),
        address: address.to_owned(),
        error,
    })
}

/// Host and port, or what the reference says.
fn split(address: &str) -> Result<(&str, u16), String> {
    let about = |words: &str| format!("address {address}: {words}");
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').ok_or_else(|| about("missing port in address"))?),
        None => address.rsplit_once(':').ok_or_else(|| about("missing port in address"))?,
    };
    if host.contains(':') && !address.starts_with('[') {
        return Err(about("too many colons in address"));
    }
    if port.is_empty() {
        return Ok((host, 0));
    }
    if !port.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("lookup tcp/{port}: unknown port"));
    }
    port.parse().map(|port| (host, port)).map_err(|_| format!("address {port}: invalid port"))
}

/// The address to listen at. No host means all addresses of the machine; of a name, the IPv4 address is taken.
fn resolve(network: &str, host: &str, port: u16) -> Result<SocketAddr, ListenError> {
    let wrong = |reason: String| ListenError::Address { network: network.to_owned(), reason };
    let name = match (host, network) {
        ("", "tcp4") => "0.0.0.0",
        ("", _) => "::",
        (host, _) => host,
    };
    let addresses = (name, port).to_socket_addrs();
    let mut addresses: Vec<_> =
        addresses.map_err(|_| wrong(format!("lookup {name}: no such host")))?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let fits = |address: &SocketAddr| match network {
        "tcp4" => address.is_ipv4(),
        "tcp6" => address.is_ipv6(),
        _ => true,
    };
    addresses
        .into_iter()
        .find(fits)
        .ok_or_else(|| wrong(format!("address {host}: no suitable address found")))
}

/// `std` cannot say that IPv6 shall not mean IPv4 too.
fn open(network: &str, host: &str, place: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, Some(Protocol::TCP))?;
    if place.is_ipv6() {
        socket.set_only_v6(network == "tcp6" || !host.is_empty())?;
    }
    // a server that is started again need not wait until old connections are forgotten
    socket.set_reuse_address(true)?;
    socket.bind(&place.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_listened_at_is_told_in_known_words() {
        for (network, address, words) in [
            ("foo", "127.0.0.1:0", "listen foo: unknown network foo"),
            ("tcp", "127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
            ("tcp", "99999", "listen tcp: address 99999: missing port in address"),
            ("tcp", "[::1]", "listen tcp: address [::1]: missing port in address"),
            ("tcp", "a:b:c", "listen tcp: address a:b:c: too many colons in address"),
            ("tcp", "127.0.0.1:nope", "listen tcp: lookup tcp/nope: unknown port"),
            ("tcp4", "[::1]:0", "listen tcp4: address ::1: no suitable address found"),
            ("tcp6", "127.0.0.1:0", "listen tcp6: address 127.0.0.1: no suitable address found"),
            ("tcp", "nohost.invalid:0", "listen tcp: lookup nohost.invalid: no such host"),
            ("tcp", "192.0.2.1:0", "listen tcp 192.0.2.1:0: bind: cannot assign requested address"),
            ("unix", "/nowhere/x", "listen unix /nowhere/x: bind: no such file or directory"),
        ] {
            let error = Listener::bind(network, address).expect_err(address);
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn any_port_is_a_port() {
        let listener = Listener::bind("tcp", "127.0.0.1:0").expect("a free port");
        assert!(listener.local_address().is_some_and(|address| address.port() > 0));
    }
}
