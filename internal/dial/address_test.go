package dial_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
)

func TestC34Addresses(t *testing.T) {
	for _, tc := range []struct {
		name, address string
		public        bool
	}{
		{"a public address", "93.184.215.14", true},
		{"a public IPv6 address", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", true},
		{"before 10/8", "9.255.255.255", true}, {"after 10/8", "11.0.0.0", true},
		{"before 172.16/12", "172.15.255.255", true}, {"after 172.16/12", "172.32.0.0", true},
		{"before carriers", "100.63.255.255", true}, {"after carriers", "100.128.0.0", true},
		{"before multicast", "223.255.255.255", true},

		{"unspecified", "0.0.0.0", false}, {"this network", "0.1.2.3", false},
		{"private 10/8", "10.0.0.1", false}, {"the end of 10/8", "10.255.255.255", false},
		{"private 172.16/12", "172.16.0.1", false}, {"the end of 172.16/12", "172.31.255.255", false},
		{"private 192.168/16", "192.168.1.1", false},
		{"loopback", "127.0.0.1", false}, {"the end of loopback", "127.255.255.254", false},
		{"link-local", "169.254.1.1", false}, {"cloud metadata", "169.254.169.254", false},
		{"carriers", "100.64.0.1", false}, {"a cloud's metadata among carriers", "100.100.100.200", false},
		{"protocols", "192.0.0.170", false}, {"6to4 relay", "192.88.99.1", false}, {"benchmarks", "198.19.255.255", false},
		{"documentation 1", "192.0.2.1", false}, {"documentation 2", "198.51.100.7", false}, {"documentation 3", "203.0.113.9", false},
		{"multicast", "224.0.0.251", false}, {"reserved", "240.0.0.1", false}, {"broadcast", "255.255.255.255", false},

		{"IPv6 unspecified", "::", false}, {"IPv6 loopback", "::1", false},
		{"IPv6 link-local", "fe80::1", false}, {"IPv6 link-local with an interface", "fe80::1%eth0", false}, {"a public address with an interface", "2606:2800::1%eth0", false},
		{"site-local", "fec0::1", false}, {"unique local", "fd12:3456::1", false}, {"cloud metadata by IPv6", "fd00:ec2::254", false},
		{"IPv6 multicast", "ff02::fb", false}, {"IPv6 documentation", "2001:db8::1", false}, {"IPv6 documentation 2", "3fff::1", false},
		{"mapped loopback", "::ffff:127.0.0.1", false}, {"a mapped public address", "::ffff:93.184.215.14", false}, {"compatible loopback", "::127.0.0.1", false},
		{"NAT64 of loopback", "64:ff9b::7f00:1", false}, {"local NAT64", "64:ff9b:1::a00:1", false},
		{"6to4 of a private address", "2002:a00:1::1", false}, {"Teredo", "2001:0:4136:e378::1", false}, {"ORCHID", "2001:20::1", false},
		{"discard only", "100::1", false}, {"segment routing", "5f00::1", false}, {"nobody's yet", "4000::1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := dial.CheckAddress(netip.MustParseAddr(tc.address))
			var refused *dial.Refused
			if tc.public != (err == nil) || err != nil && !errors.As(err, &refused) {
				t.Errorf("%s: got %v, want public %v", tc.address, err, tc.public)
			}
		})
	}
	if dial.CheckAddress(netip.Addr{}) == nil {
		t.Error("the zero address")
	}
}
