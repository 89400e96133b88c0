// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/trust"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const (
	lis    = "spiffe://lab.example/ns/pathology/labworkload/lis"
	engine = "spiffe://lab.example/ns/pathology/labworkload/engine"
	vendor = "spiffe://vendor.example/analyzer/7"
)

func bundle(t testing.TB, authorities ...*pki.Authority) *trust.Bundle {
	t.Helper()
	var text []byte
	for _, authority := range authorities {
		text = append(text, authority.PEM()...)
	}
	parsed, err := trust.ParseBundle(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// chain parses what a peer shows.
func chain(t testing.TB, issued pki.Issued) []*x509.Certificate {
	t.Helper()
	pair := issued.TLS(t)
	certificates := make([]*x509.Certificate, 0, len(pair.Certificate))
	for _, raw := range pair.Certificate {
		certificate, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, certificate)
	}
	return certificates
}

// world is the trust of a cluster: its own root, that of a federated trust domain, that of a hospital as an external authority, and a tenant's, which counts
// for nothing.
type world struct {
	lab, federated, hospital, tenant *pki.Authority
	anchors                          trust.Anchors
}

func newWorld(t testing.TB) world {
	t.Helper()
	w := world{
		lab: pki.NewAuthority(t, "lab"), federated: pki.NewAuthority(t, "clinic"), hospital: pki.NewAuthority(t, "hospital"), tenant: pki.NewAuthority(t, "tenant"),
	}
	w.anchors = trust.Anchors{
		Domain:      "lab.example",
		Bundles:     map[string]*trust.Bundle{"lab.example": bundle(t, w.lab), "clinic.example": bundle(t, w.federated)},
		Authorities: map[string]*trust.Bundle{"hospital": bundle(t, w.hospital), "empty": bundle(t)},
	}
	return w
}

func TestClient(t *testing.T) {
	w, now := newWorld(t), time.Now()
	inter := w.lab.Intermediate("between")
	server, client := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	id := func(ids ...string) pki.Leaf { return pki.Leaf{URIs: ids} }
	analyser := w.hospital.Issue(pki.Leaf{Names: []string{"Analyser7.hospital.example"}})
	ids := []config.Peer{{ID: engine}, {ID: "spiffe://clinic.example/ns/a/labworkload/b"}}
	byHospital := func(p config.Peer) []config.Peer { p.Authority = "hospital"; return []config.Peer{p} }
	for name, test := range map[string]struct {
		certificates []*x509.Certificate
		peers        []config.Peer
		source       string
		want         trust.Reason
		peer         string
	}{
		"an allowed identity":                        {certificates: chain(t, w.lab.Issue(id(engine))), peers: ids, peer: engine},
		"an allowed identity under an intermediate":  {certificates: chain(t, inter.Issue(id(engine))), peers: ids, peer: engine},
		"an allowed identity for clients alone":      {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, Usages: client})), peers: ids, peer: engine},
		"a federated identity":                       {certificates: chain(t, w.federated.Issue(id("spiffe://clinic.example/ns/a/labworkload/b"))), peers: ids, peer: "spiffe://clinic.example/ns/a/labworkload/b"},
		"no certificate":                             {peers: ids, want: trust.NoCertificate},
		"too many certificates":                      {certificates: slices.Repeat(chain(t, w.lab.Issue(id(engine))), 9), peers: ids, want: trust.ChainTooLong},
		"an identity that is in no list":             {certificates: chain(t, w.lab.Issue(id(lis))), peers: ids, want: trust.NotAllowed},
		"an empty list":                              {certificates: chain(t, w.lab.Issue(id(engine))), want: trust.NotAllowed},
		"a root of a tenant":                         {certificates: chain(t, w.tenant.Issue(id(engine))), peers: ids, want: trust.UnknownAuthority},
		"our domain from a federated root":           {certificates: chain(t, w.federated.Issue(id(engine))), peers: ids, want: trust.UnknownAuthority},
		"our domain from an external authority":      {certificates: chain(t, w.hospital.Issue(id(engine))), peers: append(byHospital(config.Peer{Pattern: "spiffe://vendor.example/analyzer/*"}), ids...), want: trust.UnknownAuthority},
		"a federated domain from our root":           {certificates: chain(t, w.lab.Issue(id("spiffe://clinic.example/ns/a/labworkload/b"))), peers: ids, want: trust.UnknownAuthority},
		"two identities":                             {certificates: chain(t, w.lab.Issue(id(engine, lis))), peers: ids, want: trust.ManyIDs},
		"an identity beside another URI":             {certificates: chain(t, w.lab.Issue(id(engine, "https://x.example/"))), peers: ids, want: trust.ManyIDs},
		"no identity":                                {certificates: chain(t, w.lab.Issue(pki.Leaf{Names: []string{"engine"}})), peers: ids, want: trust.NoID},
		"an identity with a query":                   {certificates: chain(t, w.lab.Issue(id(engine+"?a"))), peers: ids, want: trust.BadID},
		"an identity with an escaped path":           {certificates: chain(t, w.lab.Issue(id("spiffe://lab.example/ns/pathology/labworkload/%65ngine"))), peers: ids, want: trust.BadID},
		"an identity with a user":                    {certificates: chain(t, w.lab.Issue(id("spiffe://root@lab.example/ns/pathology/labworkload/engine"))), peers: ids, want: trust.BadID},
		"the domain in capitals":                     {certificates: chain(t, w.hospital.Issue(id("spiffe://LAB.example/ns/pathology/labworkload/engine"))), peers: byHospital(config.Peer{DNSName: "a"}), want: trust.BadID},
		"an authority as a leaf":                     {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, Authority: true})), peers: ids, want: trust.AuthorityAsLeaf},
		"a root as a leaf":                           {certificates: []*x509.Certificate{w.lab.Certificate}, peers: ids, want: trust.AuthorityAsLeaf},
		"a certificate for servers":                  {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, Usages: server})), peers: ids, want: trust.WrongUsage},
		"a certificate without usages":               {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, NoUsages: true})), peers: ids, want: trust.WrongUsage},
		"a certificate for anything":                 {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})), peers: ids, want: trust.WrongUsage},
		"an expired certificate":                     {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: now.Add(-3 * time.Hour), NotAfter: now.Add(-time.Hour)})), peers: ids, want: trust.Expired},
		"a certificate of tomorrow":                  {certificates: chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: now.Add(24 * time.Hour)})), peers: ids, want: trust.NotYetValid},
		"a pattern of a vendor":                      {certificates: chain(t, w.hospital.Issue(id(vendor))), peers: byHospital(config.Peer{Pattern: "spiffe://vendor.example/analyzer/*"}), peer: vendor},
		"a pattern with fewer segments":              {certificates: chain(t, w.hospital.Issue(id(vendor+"/x"))), peers: byHospital(config.Peer{Pattern: "spiffe://vendor.example/analyzer/*"}), want: trust.NotAllowed},
		"a pattern under another authority":          {certificates: chain(t, w.tenant.Issue(id(vendor))), peers: byHospital(config.Peer{Pattern: "spiffe://vendor.example/analyzer/*"}), want: trust.UnknownAuthority},
		"a pattern in a federated domain":            {certificates: chain(t, w.federated.Issue(id("spiffe://clinic.example/analyzer/1"))), peers: []config.Peer{{Pattern: "spiffe://clinic.example/analyzer/*"}}, peer: "spiffe://clinic.example/analyzer/1"},
		"a pattern in our own domain":                {certificates: chain(t, w.lab.Issue(id(engine))), peers: []config.Peer{{Pattern: "spiffe://lab.example/ns/pathology/labworkload/*"}}, want: trust.NotAllowed},
		"a fingerprint":                              {certificates: chain(t, analyser), peers: byHospital(config.Peer{Fingerprint: trust.Fingerprint(analyser.Certificate)}), peer: trust.Fingerprint(analyser.Certificate)},
		"another fingerprint":                        {certificates: chain(t, analyser), peers: byHospital(config.Peer{Fingerprint: trust.Fingerprint(w.lab.Certificate)}), want: trust.NoID},
		"a DNS name":                                 {certificates: chain(t, analyser), peers: byHospital(config.Peer{DNSName: "analyser7.hospital.example"}), peer: trust.Fingerprint(analyser.Certificate)},
		"a DNS name under another authority":         {certificates: chain(t, w.tenant.Issue(pki.Leaf{Names: []string{"analyser7.hospital.example"}})), peers: byHospital(config.Peer{DNSName: "analyser7.hospital.example"}), want: trust.UnknownAuthority},
		"a DNS name beside one of our identities":    {certificates: chain(t, w.hospital.Issue(pki.Leaf{Names: []string{"a.example"}, URIs: []string{"https://lab.example/x"}})), peers: byHospital(config.Peer{DNSName: "a.example"}), want: trust.ForeignDomain},
		"a DNS name beside a reserved and other URI": {certificates: chain(t, w.hospital.Issue(pki.Leaf{Names: []string{"a.example"}, URIs: []string{lis, "https://y.example/x"}})), peers: byHospital(config.Peer{DNSName: "a.example"}), want: trust.ManyIDs},
		"an authority without roots":                 {certificates: chain(t, analyser), peers: []config.Peer{{DNSName: "analyser7.hospital.example", Authority: "empty"}}, want: trust.NoTrust},
		"an address of the entry":                    {certificates: chain(t, w.lab.Issue(id(engine))), peers: []config.Peer{{ID: engine, CIDRs: []string{"10.0.0.0/8"}}}, source: "::ffff:10.1.2.3", peer: engine},
		"an address that the entry lacks":            {certificates: chain(t, w.lab.Issue(id(engine))), peers: []config.Peer{{ID: engine, CIDRs: []string{"10.0.0.0/8"}}}, source: "192.0.2.1", want: trust.WrongAddress},
		"an address of the second entry":             {certificates: chain(t, w.lab.Issue(id(engine))), peers: []config.Peer{{ID: engine, CIDRs: []string{"10.0.0.0/8"}}, {ID: engine, CIDRs: []string{"192.0.2.0/24"}}}, source: "192.0.2.1", peer: engine},
	} {
		t.Run(name, func(t *testing.T) {
			source := netip.MustParseAddr("192.0.2.9")
			if test.source != "" {
				source = netip.MustParseAddr(test.source)
			}
			peer, err := trust.Client(test.certificates, source, test.peers, &w.anchors, now)
			if got := trust.ReasonOf(err); got != test.want || (err != nil) != (test.want != "") {
				t.Fatalf("%q, want %q (%v)", got, test.want, err)
			}
			if test.want == "" && peer.Name() != test.peer {
				t.Errorf("the peer is %q, want %q", peer.Name(), test.peer)
			}
		})
	}
}

func TestServer(t *testing.T) {
	w, now := newWorld(t), time.Now()
	for name, test := range map[string]struct {
		issued pki.Issued
		want   trust.Reason
	}{
		"the expected identity":       {issued: w.lab.Issue(pki.Leaf{URIs: []string{lis}})},
		"another identity":            {issued: w.lab.Issue(pki.Leaf{URIs: []string{engine}}), want: trust.NotAllowed},
		"a name of DNS alone":         {issued: w.lab.Issue(pki.Leaf{Names: []string{"lis-mtls.pathology.svc"}}), want: trust.NoID},
		"a certificate for clients":   {issued: w.lab.Issue(pki.Leaf{URIs: []string{lis}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), want: trust.WrongUsage},
		"the identity from a tenant":  {issued: w.tenant.Issue(pki.Leaf{URIs: []string{lis}}), want: trust.UnknownAuthority},
		"the identity from elsewhere": {issued: w.hospital.Issue(pki.Leaf{URIs: []string{lis}}), want: trust.UnknownAuthority},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := trust.Server(chain(t, test.issued), lis, &w.anchors, now); trust.ReasonOf(err) != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestWithoutRoots(t *testing.T) {
	w := newWorld(t)
	certificates := chain(t, w.lab.Issue(pki.Leaf{URIs: []string{engine}}))
	for name, bundles := range map[string]map[string]*trust.Bundle{"absent": nil, "empty": {"lab.example": bundle(t)}, "nil": {"lab.example": nil}} {
		t.Run(name, func(t *testing.T) {
			anchors := w.anchors
			anchors.Bundles = bundles
			if _, err := trust.Client(certificates, netip.Addr{}, []config.Peer{{ID: engine}}, &anchors, time.Now()); trust.ReasonOf(err) != trust.NoTrust {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestReservedDomain(t *testing.T) {
	w := newWorld(t)
	certificates := chain(t, w.hospital.Issue(pki.Leaf{URIs: []string{vendor}, Names: []string{"a.example"}}))
	w.anchors.Reserved = map[string]bool{"vendor.example": true}
	peers := []config.Peer{{DNSName: "a.example", Authority: "hospital"}}
	if _, err := trust.Client(certificates, netip.Addr{}, peers, &w.anchors, time.Now()); trust.ReasonOf(err) != trust.NoTrust {
		t.Errorf("an external authority vouches for a domain whose bundle is absent: %v", err)
	}
}

func TestStanding(t *testing.T) {
	w, now := newWorld(t), time.Now()
	peers := []config.Peer{{ID: engine}}
	issued := w.lab.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)})
	peer, err := trust.Client(chain(t, issued), netip.Addr{}, peers, &w.anchors, now)
	if err != nil {
		t.Fatal(err)
	}
	next := pki.NewAuthority(t, "next")
	with := func(change func(*trust.Anchors)) *trust.Anchors {
		anchors := w.anchors
		change(&anchors)
		return &anchors
	}
	bundles := func(b *trust.Bundle) func(*trust.Anchors) {
		return func(a *trust.Anchors) { a.Bundles = map[string]*trust.Bundle{"lab.example": b} }
	}
	for name, test := range map[string]struct {
		anchors *trust.Anchors
		peers   []config.Peer
		want    trust.Reason
	}{
		"nothing has changed":                 {anchors: &w.anchors, peers: peers},
		"a root was added":                    {anchors: with(bundles(bundle(t, w.lab, next))), peers: peers},
		"the root was removed":                {anchors: with(bundles(bundle(t, next))), peers: peers, want: trust.RootRemoved},
		"the roots were not delivered":        {anchors: with(bundles(nil)), peers: peers},
		"the peer was removed":                {anchors: &w.anchors, peers: []config.Peer{{ID: lis}}, want: trust.NotAllowed},
		"older certificates are revoked":      {anchors: with(func(a *trust.Anchors) { a.RevokedBefore = map[string]time.Time{engine: now} }), peers: peers, want: trust.Revoked},
		"still older certificates are":        {anchors: with(func(a *trust.Anchors) { a.RevokedBefore = map[string]time.Time{engine: now.Add(-2 * time.Hour)} }), peers: peers},
		"certificates of another peer are":    {anchors: with(func(a *trust.Anchors) { a.RevokedBefore = map[string]time.Time{lis: now} }), peers: peers},
		"the address is no longer in a block": {anchors: &w.anchors, peers: []config.Peer{{ID: engine, CIDRs: []string{"10.0.0.0/8"}}}, want: trust.WrongAddress},
	} {
		t.Run(name, func(t *testing.T) {
			if err := trust.Standing(peer, test.peers, test.anchors); trust.ReasonOf(err) != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestRevokedHandshake(t *testing.T) {
	w, now := newWorld(t), time.Now()
	w.anchors.RevokedBefore = map[string]time.Time{engine: now.Add(-30 * time.Minute)}
	for _, test := range []struct {
		age  time.Duration
		want trust.Reason
	}{{time.Hour, trust.Revoked}, {10 * time.Minute, ""}} {
		issued := w.lab.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: now.Add(-test.age)})
		if _, err := trust.Client(chain(t, issued), netip.Addr{}, []config.Peer{{ID: engine}}, &w.anchors, now); trust.ReasonOf(err) != test.want {
			t.Errorf("made %s ago: %v, want %q", test.age, err, test.want)
		}
	}
}

// FuzzJudge gives whatever parses as a certificate to the judge. Nothing that our roots have not signed may come through.
func FuzzJudge(f *testing.F) {
	w := newWorld(f)
	now := time.Now()
	for _, issued := range []pki.Issued{
		w.tenant.Issue(pki.Leaf{URIs: []string{engine}}), w.hospital.Issue(pki.Leaf{URIs: []string{vendor}, Names: []string{"a.example"}}),
		w.tenant.Issue(pki.Leaf{URIs: []string{engine, lis}, Authority: true}), w.tenant.Issue(pki.Leaf{NoUsages: true}),
	} {
		f.Add(issued.Certificate.Raw)
	}
	peers := []config.Peer{{ID: engine}, {Pattern: "spiffe://vendor.example/*/x", Authority: "empty"}, {DNSName: "a.example", Authority: "empty"}}
	f.Fuzz(func(t *testing.T, der []byte) {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		for _, certificates := range [][]*x509.Certificate{{certificate}, {certificate, certificate}} {
			if peer, err := trust.Client(certificates, netip.Addr{}, peers, &w.anchors, now); err == nil {
				t.Errorf("%s came through", peer.Name())
			}
			if peer, err := trust.Server(certificates, lis, &w.anchors, now); err == nil {
				t.Errorf("%s came through as a server", peer.Name())
			}
		}
	})
}

func TestBundles(t *testing.T) {
	root := pki.NewAuthority(t, "root")
	leaf := root.Issue(pki.Leaf{URIs: []string{lis}})
	for name, test := range map[string]struct {
		text  []byte
		roots int
		bad   bool
	}{
		"nothing":      {},
		"space":        {text: []byte(" \n\n")},
		"a root":       {text: root.PEM(), roots: 1},
		"a root twice": {text: append(root.PEM(), root.PEM()...), roots: 1},
		"a leaf":       {text: leaf.Chain, bad: true},
		"a key":        {text: leaf.Key, bad: true},
		"cut off":      {text: root.PEM()[:100], bad: true},
		"garbage":      {text: []byte("garbage"), bad: true},
		"one cut off":  {text: append(root.PEM(), root.PEM()[:200]...), bad: true},
		"too long":     {text: make([]byte, trust.MaxBundleBytes+1), bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := trust.ParseBundle(test.text)
			if (err != nil) != test.bad || (err == nil && len(parsed.Roots()) != test.roots) {
				t.Errorf("%v, %v", parsed, err)
			}
		})
	}
}

func FuzzBundle(f *testing.F) {
	root := pki.NewAuthority(f, "root")
	f.Add(root.PEM())
	f.Add(append(root.PEM(), root.PEM()[:90]...))
	f.Fuzz(func(t *testing.T, text []byte) {
		if parsed, err := trust.ParseBundle(text); err == nil && len(parsed.Roots()) > trust.MaxRoots {
			t.Error("there are more roots than there may be")
		}
	})
}

func TestReplace(t *testing.T) {
	w, now := newWorld(t), time.Now()
	identity := func(issued pki.Issued) *trust.Identity {
		parsed, err := trust.ParseIdentity(issued.Chain, issued.Key)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	good, other := identity(w.lab.Issue(pki.Leaf{URIs: []string{lis}})), identity(w.tenant.Issue(pki.Leaf{URIs: []string{lis}}))
	stranger := identity(w.lab.Issue(pki.Leaf{URIs: []string{engine}}))
	expired := identity(w.lab.Issue(pki.Leaf{URIs: []string{lis}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}))
	future := identity(w.lab.Issue(pki.Leaf{URIs: []string{lis}, NotBefore: now.Add(time.Hour)}))
	ours := bundle(t, w.lab)
	for name, test := range map[string]struct {
		current, next *trust.Identity
		bundle        *trust.Bundle
		take, problem bool
	}{
		"the first one":                             {next: good, bundle: ours, take: true},
		"the first one, without roots":              {next: good, take: true},
		"a newer one":                               {current: good, next: good, bundle: ours, take: true},
		"one of a tenant, first":                    {next: other, bundle: ours, take: true, problem: true},
		"one of a tenant, instead of a good one":    {current: good, next: other, bundle: ours, problem: true},
		"one of a tenant, instead of an expired":    {current: expired, next: other, bundle: ours, take: true, problem: true},
		"another identity, instead of a good one":   {current: good, next: stranger, bundle: ours, problem: true},
		"one of the future, instead of a good one":  {current: good, next: future, bundle: ours, problem: true},
		"an expired one, instead of a good one":     {current: good, next: expired, bundle: ours, problem: true},
		"a good one, instead of an expired one":     {current: expired, next: good, bundle: ours, take: true},
		"a good one, instead of one without a root": {current: other, next: good, bundle: ours, take: true},
	} {
		t.Run(name, func(t *testing.T) {
			take, problem := trust.Replace(test.current, test.next, lis, test.bundle, now)
			if take != test.take || (problem != "") != test.problem {
				t.Errorf("%v, %q", take, problem)
			}
		})
	}
}
