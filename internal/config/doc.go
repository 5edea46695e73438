// Package config reads the configuration of an installation: one struct, from
// a YAML file and the environment, checked once and with all faults at once.
// It opens nothing and knows no service.
package config
