package config

import (
	"fmt"
	"net/netip"
)

// Outgoing widens where addresses that clients name may lead: beside port 443
// of the public internet, which is always allowed (C34).
type Outgoing struct {
	Ports    []int    `yaml:"ports"`
	Networks []string `yaml:"networks"`
}

// Prefixes are the networks, which Load has checked.
func (o Outgoing) Prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range o.Networks {
		if p, err := netip.ParsePrefix(n); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func (o Outgoing) check() error {
	for _, p := range o.Ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("port %d is not between 1 and 65535", p)
		}
	}
	for _, n := range o.Networks {
		p, err := netip.ParsePrefix(n)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a network such as 10.1.0.0/16", n)
		case p != p.Masked():
			return fmt.Errorf("%q has bits after its prefix; meant is probably %s", n, p.Masked())
		case p.Bits() == 0:
			return fmt.Errorf("%q is every address there is; name your own networks", n)
		}
	}
	return nil
}
