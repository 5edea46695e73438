package dial

import (
	"fmt"
	"net/netip"
)

// Refused says that an address or a URL is not one that we fetch from.
type Refused struct {
	Target string
	Reason string
}

func (e *Refused) Error() string { return fmt.Sprintf("%s is not fetched: %s", e.Target, e.Reason) }

func refused(target fmt.Stringer, reason string) error {
	return &Refused{Target: target.String(), Reason: reason}
}

// ranges of the IANA special-purpose registries (RFC 6890 and its updates) in
// which nobody on the public internet is.
type ranges []struct {
	prefix netip.Prefix
	what   string
}

var special4 = ranges{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified, or this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by carriers (RFC 6598)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, where clouds keep their metadata"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private (RFC 1918)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "for protocols (RFC 6890)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private (RFC 1918)"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
}

// special6 are the exceptions within 2000::/3, and names for what is outside.
var special6 = ranges{
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "an IPv4 address in an IPv6 one"},
	{netip.MustParsePrefix("::/96"), "an IPv4 address in an IPv6 one"},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind NAT64"},
	{netip.MustParsePrefix("2001::/32"), "an IPv4 address behind Teredo"},
	{netip.MustParsePrefix("2001::/23"), "for protocols (RFC 2928)"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address behind 6to4"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
	{netip.MustParsePrefix("fc00::/7"), "private (RFC 4193)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// global is where all public IPv6 addresses are. Whatever else is ever given a
// meaning stays refused until somebody looks at it.
var global = netip.MustParsePrefix("2000::/3")

func (r ranges) find(addr netip.Addr) (what string, found bool) {
	for _, s := range r {
		if s.prefix.Contains(addr) {
			return s.what, true
		}
	}
	return "", false
}

// CheckAddress reports why a resolved address is not one of the public
// internet.
func CheckAddress(addr netip.Addr) error {
	switch {
	case !addr.IsValid():
		return &Refused{Target: "an empty address", Reason: "it is no address"}
	case addr.Zone() != "":
		return refused(addr, "it names an interface of this machine")
	case addr.Is4():
		if what, found := special4.find(addr); found {
			return refused(addr, what)
		}
		return nil
	}
	if what, found := special6.find(addr); found {
		return refused(addr, what)
	}
	if !global.Contains(addr) {
		return refused(addr, "not a public address")
	}
	return nil
}
