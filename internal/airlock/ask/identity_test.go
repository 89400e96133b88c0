// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/testutil/pki"
)

func TestTheIdentityIsReadAnewAndNeverReplacedByOneThatDoesNotWork(t *testing.T) {
	directory, clock, root := t.TempDir(), clocktesting.NewFakeClock(now), pki.NewAuthorityAt(t, "root", now)
	identity := &Identity{Directory: directory, ID: operatorID, Clock: clock}
	write := func(certificate, key []byte) {
		t.Helper()
		clock.Step(time.Minute)
		for name, content := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
			if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	fails := func(want string) {
		t.Helper()
		if got, err := identity.Certificate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("got %v, %v; want %q", got, err, want)
		}
	}
	serves := func(leaf pki.Issued) {
		t.Helper()
		got, err := identity.Certificate()
		if err != nil || !got.Leaf.Equal(leaf.Certificate) {
			t.Errorf("not the certificate that is wanted: %v", err)
		}
	}
	first, second := root.Issue(pki.Leaf{URIs: []string{operatorID}, NotBefore: now}), root.Issue(pki.Leaf{URIs: []string{operatorID}, NotBefore: now})
	other := root.Issue(pki.Leaf{URIs: []string{lisID}, NotBefore: now})
	fails("tls.crt cannot be read")
	write(nil, nil)
	fails("no pair")
	write(other.Chain, other.Key)
	fails("not for " + operatorID)
	write(make([]byte, maxIdentityFile+1), nil)
	fails("too long")
	write(first.Chain, first.Key)
	serves(first)
	write(second.Chain, first.Key) // in the middle of a change
	serves(first)
	write(second.Chain[:100], second.Key)
	serves(first)
	write(second.Chain, second.Key)
	serves(second)
	if err := os.Remove(filepath.Join(directory, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	clock.Step(time.Minute)
	serves(second)
	clock.Step(pki.Life)
	fails("cannot be read")
}
