// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/labguard/labguard/internal/airlock/config"
)

const (
	tableName = "labguard"
	chainName = "output"
	// Offsets of the destination in the headers of IPv4, IPv6 and TCP.
	destination4, destination6, destinationPort = 16, 24, 2
	// acknowledgements of a whole table have to fit in.
	acknowledgements = 4 << 20
)

// Install writes the rules into the network of the process, in place of those that are there: it may run again. The rules of a family come in one
// transaction. It takes NET_ADMIN.
func Install(rules Rules) error {
	if err := install(rules.of(false), nftables.TableFamilyIPv4); err != nil {
		return fmt.Errorf("write the rules of IPv4: %w", err)
	}
	if _, err := os.Stat("/proc/net/if_inet6"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := install(rules.of(true), nftables.TableFamilyIPv6); err != nil {
		return fmt.Errorf("write the rules of IPv6: %w", err)
	}
	return nil
}

func install(rules Rules, family nftables.TableFamily) error {
	connection, err := nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error { return c.SetReadBuffer(acknowledgements) }))
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: tableName, Family: family}
	// To add before deleting is how a table that may not be there is deleted.
	connection.AddTable(table)
	connection.DelTable(table)
	connection.AddTable(table)
	chain := connection.AddChain(&nftables.Chain{
		Name: chainName, Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	for _, expressions := range append(exemptions(), redirections(rules)...) {
		connection.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: expressions})
	}
	return connection.Flush()
}

// exemptions are what the pod says to itself and what airlock opens.
func exemptions() [][]expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, "lo")
	user := make([]byte, 4)
	binary.NativeEndian.PutUint32(user, config.UserID)
	back := &expr.Verdict{Kind: expr.VerdictReturn}
	return [][]expr.Any{
		{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, equal(name), back},
		{&expr.Meta{Key: expr.MetaKeySKUID, Register: 1}, equal(user), back},
	}
}

func redirections(rules Rules) [][]expr.Any {
	written := make([][]expr.Any, 0, len(rules))
	for _, rule := range rules {
		var expressions []expr.Any
		if rule.Address.IsValid() {
			address := rule.Address.AsSlice()
			offset := uint32(destination4)
			if rule.Address.Is6() {
				offset = destination6
			}
			expressions = append(expressions,
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(address))}, //nolint:gosec // 4 or 16.
				equal(address))
		}
		written = append(written, append(expressions,
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal([]byte{unix.IPPROTO_TCP}),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destinationPort, Len: 2}, equal(network(rule.Port)),
			&expr.Immediate{Register: 1, Data: network(config.RedirectPort)}, &expr.Redir{RegisterProtoMin: 1},
		))
	}
	return written
}

func equal(data []byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

func network(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }
