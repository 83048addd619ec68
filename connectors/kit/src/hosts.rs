//! Which addresses a connector may talk to (X01, X02).
//!
//! Three checks stand behind one another: the URL must be on an origin of the connector's endpoints; the scheme must be
//! https, or http to a literal loopback address; and the address a name resolves to must be public. The third is made by
//! the resolver that hands the address to the connector, so a name cannot change its mind in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ledgerward_contract::{Endpoints, Error, ErrorKind, Result};
use url::{Host, Url};

/// The origins (scheme, host, port) of one connector's endpoints. Also those that a vendor names in an answer (upload
/// sessions) must be among them.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    origins: Vec<url::Origin>,
    /// `.vendor.example` for an endpoint `https://*.vendor.example`: addresses that answers name.
    families: Vec<String>,
    private: bool,
}

impl Hosts {
    /// `allow_private_network` is the target's setting for a server in the office (`decisions` 22).
    ///
    /// Errors: `Config` if an endpoint is plain http to anything but a literal loopback address, or a literal address
    /// that may not be talked to.
    pub fn new(endpoints: &Endpoints, allow_private_network: bool) -> Result<Self> {
        let (mut origins, mut families) = (Vec::new(), Vec::new());
        for (name, url) in endpoints.iter() {
            if let ("https", Some(family)) = (url.scheme(), url.host_str().and_then(|h| h.strip_prefix('*'))) {
                families.push(family.to_owned());
                continue;
            }
            if let Err(why) = reachable(url, allow_private_network) {
                let next = if why == PRIVATE {
                    "If this server stands in your own network, set allow_private_network = true for it."
                } else {
                    "Use https, or http to a literal loopback address such as http://127.0.0.1:8080."
                };
                let text = format!("the address of \"{name}\" cannot be used: {why}");
                return Err(Error::new(ErrorKind::Config, "endpoints.check", text).next(next));
            }
            origins.push(url.origin());
        }
        Ok(Self { origins, families, private: allow_private_network })
    }

    /// Whether a request without a token may go to this address.
    ///
    /// Errors: `Contract`, naming the host alone: a host that is not the connector's can only have come from an answer.
    pub fn check(&self, op: &'static str, url: &Url) -> Result<()> {
        self.admit(op, url, self.origins.contains(&url.origin()) || self.in_family(url))
    }

    /// Whether a request with a token may: only to the endpoints themselves, never to a host that an answer named.
    pub fn check_for_token(&self, op: &'static str, url: &Url) -> Result<()> {
        self.admit(op, url, self.origins.contains(&url.origin()))
    }

    fn in_family(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https" && url.port().is_none() && self.families.iter().any(|f| host.ends_with(f.as_str()))
    }

    fn admit(&self, op: &'static str, url: &Url, ours: bool) -> Result<()> {
        let host = url.host_str().unwrap_or("no host").to_owned();
        if !ours || !url.username().is_empty() || url.password().is_some() {
            return Err(
                Error::contract(op, "the address is not on a host that belongs to this connector").with("host", host)
            );
        }
        reachable(url, self.private).map_err(|why| Error::contract(op, why).with("host", host))
    }

    /// Whether this connection may reach addresses of private networks.
    pub fn private(&self) -> bool {
        self.private
    }

    /// Whether some endpoint has this host name, whatever its port.
    pub fn has_host(&self, host: &str) -> bool {
        self.origins.iter().any(|o| matches!(o, url::Origin::Tuple(_, h, _) if h.to_string() == host))
            || self.families.iter().any(|f| host.ends_with(f.as_str()))
    }
}

const PRIVATE: &str = "it is an address inside a private network";

/// Scheme and literal addresses. A name is judged when it is resolved.
fn reachable(url: &Url, private: bool) -> Result<(), &'static str> {
    let literal = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => None,
        None => return Err("it names no host"),
    };
    // `IpAddr::is_loopback` is false for ::ffff:127.0.0.1, which nobody writes with honest intent.
    let loopback = literal.is_some_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err("plain http goes to literal loopback addresses only"),
        _ => return Err("its scheme is neither https nor http"),
    }
    match literal {
        Some(ip) if !loopback && !permitted(ip, private) => Err(PRIVATE),
        _ => Ok(()),
    }
}

/// Whether a resolved address may be connected to. `private` opens the private networks (RFC 1918, CGNAT, ULA), never
/// loopback, link-local (cloud metadata lives there), multicast or reserved ones.
pub fn permitted(ip: IpAddr, private: bool) -> bool {
    match ip {
        IpAddr::V4(ip) => permitted_v4(ip, private),
        IpAddr::V6(ip) => permitted_v6(ip, private),
    }
}

fn permitted_v4(ip: Ipv4Addr, private: bool) -> bool {
    let [a, b, c, _] = ip.octets();
    let never = a == 0 // "this network"
        || ip.is_loopback()
        || ip.is_link_local()
        || a >= 224 // multicast, reserved, broadcast
        || (a, b, c) == (192, 0, 0) // IETF protocol assignments (RFC 6890)
        || (a, b, c) == (192, 0, 2) || (a, b, c) == (198, 51, 100) || (a, b, c) == (203, 0, 113) // documentation
        || (a, b, c) == (192, 88, 99) // 6to4 relays
        || (a == 198 && (b & 0xfe) == 18) // benchmarks
        || (a, b, c) == (100, 100, 100) && ip.octets() == [100, 100, 100, 200]; // a cloud's metadata address
    let inside = ip.is_private() || (a == 100 && (b & 0xc0) == 64);
    !never && (private || !inside)
}

fn permitted_v6(ip: Ipv6Addr, private: bool) -> bool {
    let s = ip.segments();
    // Addresses that carry an IPv4 address are judged by it: mapped, NAT64 (RFC 6052) and 6to4.
    let [.., g, h] = s;
    let tail = Ipv4Addr::from((u32::from(g) << 16) | u32::from(h));
    if ip.to_ipv4_mapped().is_some() {
        return permitted_v4(tail, private);
    }
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => permitted_v4(tail, private),
        [0x64, 0xff9b, ..] => false,
        [0x2002, a, b, ..] => permitted_v4(Ipv4Addr::from((u32::from(a) << 16) | u32::from(b)), private),
        [0x2001, 0..=0x1ff, ..] => false, // Teredo, ORCHID and other protocol assignments (2001::/23)
        [0x2001, 0xdb8, ..] => false,     // documentation
        [0xfd00, 0xec2, ..] => false,     // a cloud's metadata address
        [a, ..] if a & 0xfe00 == 0xfc00 => private, // ULA
        [a, ..] => a & 0xe000 == 0x2000,  // global unicast is 2000::/3, everything else is special
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ledgerward_contract::{AuthScheme, Endpoint, Manifest};

    use super::*;

    const MANIFEST: Manifest = Manifest {
        name: "x",
        title: "X",
        auth: AuthScheme::None,
        endpoints: &[Endpoint { name: "api", url: "https://api.vendor.example/v1" }],
        quotas: &[],
        access: None,
        grade: None,
        statements: &[],
        roles: &[],
        settings: &[],
        unverified: &[],
    };

    fn endpoints(api: &str) -> Endpoints {
        Endpoints::resolve(&MANIFEST, &BTreeMap::from([("api".to_owned(), Url::parse(api).unwrap())])).unwrap()
    }

    /// Ways to write an address that must not be reached by accident or by somebody's string.
    const INSIDE: &[&str] = &[
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.0.1",
        "192.168.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "192.0.0.1",
        "192.0.2.7",
        "198.18.0.1",
        "198.51.100.9",
        "203.0.113.9",
        "192.88.99.1",
        "10.1",
        "10.1.1",
        "192.168.1",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "2852039166",
        "167772161",
        "0x0a000001",
        "012.0.0.1",
        "3232235521",
        "0300.0250.0.1",
        "10.0.0.1.",
        "%31%30.0.0.1",
        "１０.0.0.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:192.168.0.1]",
        "[::127.0.0.1]",
        "[::10.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[2002:a9fe:a9fe::]",
        "[fe80::1]",
        "[febf::1]",
        "[fc00::1]",
        "[fd12:3456::1]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001::1]",
        "[2001:db8::1]",
        "[100::1]",
    ];
    const LOOPBACK: &[&str] =
        &["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.255.1.9", "[::1]", "[0:0::1]"];

    #[test]
    fn x01_addresses_inside_are_refused_however_they_are_written() {
        assert!(INSIDE.len() >= 60);
        let hosts = Hosts::new(&endpoints("https://api.vendor.example"), false).unwrap();
        for host in INSIDE {
            for scheme in ["http", "https"] {
                let url = Url::parse(&format!("{scheme}://{host}/x")).unwrap();
                assert!(Hosts::new(&endpoints(url.as_str()), false).is_err(), "{url} as an endpoint");
                assert!(hosts.check("x.y", &url).is_err(), "{url} from an answer");
            }
        }
    }

    #[test]
    fn x01_loopback_only_where_the_configuration_names_it() {
        let hosts = Hosts::new(&endpoints("https://api.vendor.example"), true).unwrap();
        for host in LOOPBACK {
            let url = Url::parse(&format!("http://{host}:8080/x")).unwrap();
            assert!(hosts.check("x.y", &url).is_err(), "{url}");
            let own = Hosts::new(&endpoints(url.as_str()), false).unwrap();
            assert!(own.check("x.y", &url).is_ok(), "{url}");
            let other_port = Url::parse(&format!("http://{host}:8081/x")).unwrap();
            assert!(own.check("x.y", &other_port).is_err(), "{other_port}");
        }
    }

    #[test]
    fn x01_private_networks_open_by_setting_and_metadata_never() {
        for (host, open) in [
            ("192.168.1.5", true),
            ("100.64.0.1", true),
            ("[fd12::1]", true),
            ("169.254.169.254", false),
            ("[fe80::1]", false),
            ("[fd00:ec2::254]", false),
            ("100.100.100.200", false),
            ("[::ffff:127.0.0.1]", false),
        ] {
            let url = format!("https://{host}/");
            assert_eq!(Hosts::new(&endpoints(&url), true).is_ok(), open, "{url}");
        }
        assert!(Hosts::new(&endpoints("http://192.168.1.5/"), true).is_err(), "no plain http in the office either");
    }

    #[test]
    fn x01_a_token_never_goes_to_a_host_that_an_answer_named() {
        let hosts = Hosts::new(&endpoints("https://*.content.example"), false).unwrap();
        for (url, given) in [
            ("https://eu-1.content.example/s/abc", true),
            ("http://eu-1.content.example/s/abc", false),
            ("https://eu-1.content.example:8443/s", false),
            ("https://content.example/s", false),
            ("https://evilcontent.example/s", false),
            ("https://eu-1.content.example.evil.example/s", false),
            ("https://u:p@eu-1.content.example/s", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(hosts.check("x.y", &url).is_ok(), given, "{url}");
            assert!(hosts.check_for_token("x.y", &url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_request_stays_on_its_connectors_hosts() {
        let hosts = Hosts::new(&endpoints("https://api.vendor.example/v1"), false).unwrap();
        let ok = |u: &str| hosts.check("x.y", &Url::parse(u).unwrap()).is_ok();
        assert!(ok("https://api.vendor.example/anything?upload_id=1"));
        assert!(ok("https://api.vendor.example:443/"));
        assert!(!ok("https://api.vendor.example:8443/"));
        assert!(!ok("http://api.vendor.example/"));
        assert!(!ok("https://api.vendor.example.evil.example/"));
        assert!(!ok("https://vendor.example/"));
        assert!(!ok("https://user:pw@api.vendor.example/"));
        assert!(!ok("ftp://api.vendor.example/"));
        let e = hosts.check("x.y", &Url::parse("https://evil.example/p?sig=CANARY").unwrap()).unwrap_err();
        assert!(format!("{e:?}").contains("evil.example") && !format!("{e:?}").contains("CANARY"));
        assert!(Hosts::new(&endpoints("http://localhost:80/"), false).is_err(), "a name is no literal");
    }

    #[test]
    fn public_addresses_pass() {
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2600::1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(permitted(ip.parse().unwrap(), false), "{ip}");
        }
    }
}
